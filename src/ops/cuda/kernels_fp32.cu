#include "ops/cuda/launch.cuh"

namespace breakeven::ops::cuda {

template cudaError_t launch_kernel<float>(const KernelOf<float>& kernel, const Grid& grid,
                                          cudaStream_t stream);
template cudaError_t load_kernels<float>();

}  // namespace breakeven::ops::cuda
