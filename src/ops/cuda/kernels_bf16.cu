#include "ops/cuda/launch.cuh"

namespace breakeven::ops::cuda {

template cudaError_t launch_kernel<Bf16>(const KernelOf<Bf16>& kernel, const Grid& grid,
                                         cudaStream_t stream);
template cudaError_t load_kernels<Bf16>();

}  // namespace breakeven::ops::cuda
