// cublasLt, loaded at run time: 500 MB of library that a machine without a GPU need not have, and
// without which the program starts all the same. Matrix products of one device.
#pragma once

#include <cublasLt.h>

#include <string>
#include <vector>

#include "ops/cuda/gemm_call.h"

namespace breakeven::ops::cuda {

// The functions that we call, with the types of the header that we were compiled with. The library
// must have the same major version.
struct CublasLtApi {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtGetStatusString) status = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulDescCreate) description_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) description_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) description_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatrixLayoutSetAttribute) layout_set = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmulAlgoCheck) algorithm_check = nullptr;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) algorithm_get = nullptr;
  std::string note;   // version, or why it could not be loaded
  std::string tried;  // files up to the one that was loaded
  bool loaded = false;
  bool outer_scales = false;  // whether both header and library know a scale a row and a column
};
// Loaded once a process, from where cublas_lt_files() (packages.h) says.
const CublasLtApi& cublas_lt();

class CublasLt {
 public:
  // The device must be the thread's current one. Throws DeviceFailure.
  CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;
  ~CublasLt();

  // As Runtime's. fp32 products in fp32 (TF32 off), fp16, bf16 and fp8 with fp32 sums, int8
  // with s32 ones; parts of split sums are added in the type of the sums and in a fixed order, so
  // that the same product gives the same bits.
  std::vector<GemmAlgorithm> algorithms(const GemmCall& call, std::size_t workspace_bytes,
                                        std::size_t most) const;
  bool takes(const GemmCall& call, const GemmAlgorithm& algorithm,
             std::size_t workspace_bytes) const;
  void multiply(const GemmCall& call, const GemmAlgorithm& algorithm, void* workspace,
                std::size_t workspace_bytes, cudaStream_t stream) const;

 private:
  struct Descriptions;

  const CublasLtApi& api_;
  cublasLtHandle_t handle_ = nullptr;
};

}  // namespace breakeven::ops::cuda
