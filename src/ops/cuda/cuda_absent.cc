// What a build without nvcc has in place of cuda_runtime.cu.
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/runtime.h"

namespace breakeven::ops {

std::optional<Error> why_no_cuda_engine() {
  return Error{"device/no-engine", "this build has no CUDA engine",
               "use --device cpu, or build where nvcc is found"};
}

namespace cuda {

Result<std::shared_ptr<Runtime>> make_cuda_runtime(int /*device*/) {
  return tl::unexpected<Error>(*why_no_cuda_engine());
}

}  // namespace cuda
}  // namespace breakeven::ops
