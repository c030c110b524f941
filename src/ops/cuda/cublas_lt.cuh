// cublasLt, loaded at run time: 500 MB of library that a machine without a GPU need not have, and
// without which the program starts all the same. Matrix products of one device.
#pragma once

#include <cublasLt.h>

#include <map>
#include <mutex>
#include <string>
#include <tuple>

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
  std::string note;  // version, or why it could not be loaded
  bool loaded = false;
};
// Loaded once a process: BREAKEVEN_CUBLASLT (a file), the loader's own search, beside the program
// (../lib), CUDA_HOME, the toolkit of the build, /usr/local/cuda.
const CublasLtApi& cublas_lt();

class CublasLt {
 public:
  // The device must be the thread's current one. Throws DeviceFailure.
  CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;
  ~CublasLt();

  // fp32 products in fp32 (TF32 off), the others with fp32 sums; parts of split sums are added in
  // fp32 in a fixed order, so that the same product gives the same bits.
  void multiply(const GemmCall& call, void* workspace, std::size_t workspace_bytes,
                cudaStream_t stream);

 private:
  // What an algorithm depends on: all of a call but its addresses, and how those are aligned.
  using Key = std::tuple<Precision, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t,
                         std::size_t, std::size_t, bool, bool, std::size_t>;
  struct Descriptions;
  cublasLtMatmulAlgo_t algorithm_for(const Key& key, const Descriptions& descriptions,
                                     std::size_t workspace_bytes, std::size_t alignment);

  const CublasLtApi& api_;
  cublasLtHandle_t handle_ = nullptr;
  std::mutex mutex_;
  std::map<Key, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace breakeven::ops::cuda
