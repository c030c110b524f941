#include "ops/cuda/launch.cuh"

namespace breakeven::ops::cuda {

template cudaError_t launch_kernel<Half>(const KernelOf<Half>& kernel, const Grid& grid,
                                         cudaStream_t stream);
template cudaError_t load_kernels<Half>();

}  // namespace breakeven::ops::cuda
