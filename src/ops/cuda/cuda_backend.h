// The CUDA backend: products by cublasLt, own kernels between them, tensor-core attention, graphs.
// fp32 (TF32 off), fp16, int8, bf16 from compute capability 8.0 on, fp8 from 8.9 on.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "ops/cuda/device_list.h"
#include "ops/ops.h"

namespace breakeven::ops {

namespace cuda {
class Runtime;
}

struct CudaOptions {
  int device = 0;  // as in "cuda:0"
  Precision precision = Precision::fp16;
  // "" = the fast kernels that pass their known-answer test here; "plain" = none of them.
  std::string kernels{};
};

// Backends of one device share its runtime, so that packed weights can be shared. The first one
// runs the known-answer test (ops/cuda/self_test.h).
// Errors: device/no-engine, device/failed (CUDA's words), ops/unsupported (a precision that the
// device does not have), ops/switches (BREAKEVEN_CUDA_WITHOUT names what there is not).
Result<std::unique_ptr<Backend>> make_cuda_backend(const CudaOptions& options);

// Precisions that run on a GPU of this compute capability, in the order fp32, bf16, fp16, int8,
// fp8.
std::vector<Precision> cuda_precisions(int major, int minor);

namespace cuda {
// Errors: device/no-engine, device/failed.
Result<std::shared_ptr<Runtime>> make_cuda_runtime(int device);
}  // namespace cuda

}  // namespace breakeven::ops
