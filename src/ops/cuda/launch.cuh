// Launches every kernel of one number format; each format is compiled in a file of its own.
#pragma once

#include <cuda_runtime_api.h>

#include "ops/cuda/device_thread.cuh"
#include "ops/cuda/kernels/call.h"

namespace breakeven::ops::cuda {

// Queues the kernel and gives the launch's own error. What an earlier call left behind in
// cudaGetLastError is not this kernel's fault.
template <class T>
cudaError_t launch_kernel(const KernelOf<T>& kernel, const Grid& grid, cudaStream_t stream);

// Makes the driver load every kernel of the format now, and not in a timed or captured pass.
template <class T>
cudaError_t load_kernels();

#if defined(__CUDACC__)

// Blocks that must fit on a multiprocessor at once; 0 = as many as ptxas likes. Named are those
// that it would spill for the sake of one block more (tools/cuda_report.py).
template <class K>
constexpr unsigned kLeastBlocks = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <>
inline constexpr unsigned kLeastBlocks<ResidualNorm<float, float>> = 1;
template <unsigned HeadSize, class Scope>
inline constexpr unsigned kLeastBlocks<FlashAttention<float, HeadSize, Scope>> = 1;
#else
template <unsigned HeadSize, class Scope>
inline constexpr unsigned kLeastBlocks<FlashAttention<float, HeadSize, Scope>> = 3;
#endif

template <class K>
__global__ void __launch_bounds__(K::kThreads, kLeastBlocks<K>) run_kernel(const K kernel) {
  DeviceThread thread;
  kernel(thread);
}

template <class T>
cudaError_t launch_kernel(const KernelOf<T>& kernel, const Grid& grid, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                    static_cast<unsigned>(grid.z));
  return std::visit(
      [&]<class K>(const K& k) {
        K copy = k;
        void* parameters[] = {&copy};
        return cudaLaunchKernel(reinterpret_cast<const void*>(run_kernel<K>), blocks,
                                dim3(K::kThreads), parameters, grid.shared_bytes, stream);
      },
      kernel);
}

template <class T>
cudaError_t load_kernels() {
  const auto load = []<class... K>(const std::variant<K...>*) {
    cudaError_t first = cudaSuccess;
    const auto touch = [&first](cudaError_t error) {
      if (first == cudaSuccess) first = error;
    };
    cudaFuncAttributes attributes;
    (touch(cudaFuncGetAttributes(&attributes, run_kernel<K>)), ...);
    return first;
  };
  return load(static_cast<const KernelOf<T>*>(nullptr));
}

#endif

}  // namespace breakeven::ops::cuda
