// The Thread of kernels/access.h on a GPU: each call is an instruction or two.
#pragma once

#include <cstdint>
#include <type_traits>

#include "ops/cuda/kernels/access.h"

namespace breakeven::ops::cuda {

extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];

class DeviceThread {
 public:
  __device__ __forceinline__ unsigned thread() const { return threadIdx.x; }
  __device__ __forceinline__ unsigned warp() const { return threadIdx.x / kWarp; }
  __device__ __forceinline__ unsigned lane() const { return threadIdx.x % kWarp; }
  __device__ __forceinline__ unsigned block_x() const { return blockIdx.x; }
  __device__ __forceinline__ unsigned block_y() const { return blockIdx.y; }
  __device__ __forceinline__ unsigned block_z() const { return blockIdx.z; }
  __device__ __forceinline__ std::byte* shared() const {
    return reinterpret_cast<std::byte*>(dynamic_shared_memory);
  }

  template <class V>
  __device__ __forceinline__ V load(const V* from) {
    return *from;
  }
  template <class V>
  __device__ __forceinline__ void store(V* to, const V& value) {
    *to = value;
  }

  // cp.async came with sm_80; before it the copy is made at once, which the same waits and barriers
  // cover.
  __device__ __forceinline__ void copy_async16(void* to, const void* from, bool keep) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(keep ? 16 : 0)
                 : "memory");
#else
    *static_cast<Line*>(to) = keep ? *static_cast<const Line*>(from) : Line{{0, 0, 0, 0}};
#endif
  }
  __device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
  }
  template <unsigned InFlight>
  __device__ __forceinline__ void wait_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(InFlight) : "memory");
#endif
  }

  __device__ __forceinline__ void sync() {
    __syncthreads();
  }
  __device__ __forceinline__ void sync_warp() {
    __syncwarp();
  }
  __device__ __forceinline__ float shuffle(float value, unsigned lane) {
    return __shfl_sync(kAllLanes, value, static_cast<int>(lane));
  }
  __device__ __forceinline__ float shuffle_xor(float value, unsigned mask) {
    return __shfl_xor_sync(kAllLanes, value, static_cast<int>(mask));
  }

  __device__ __forceinline__ void load_matrices(std::uint32_t (&registers)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(shared_address(row))
                 : "memory");
  }
  __device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&registers)[4],
                                                           const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(shared_address(row))
                 : "memory");
  }

  // sums += a b for [16, 16] times [16, 8]. sm_75 has depth 8 only, and no bf16: two steps, whose
  // operands are the halves of the registers.
  template <class T>
  __device__ __forceinline__ void multiply(float (&sums)[4], const std::uint32_t (&a)[4],
                                           const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
    if constexpr (std::is_same_v<T, Half>) {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
          "{%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    } else {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, "
          "%7}, {%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    }
#else
    if constexpr (std::is_same_v<T, Half>) {
      multiply_depth_8(sums, a[0], a[1], b[0]);
      multiply_depth_8(sums, a[2], a[3], b[1]);
    } else {
      __trap();  // make_cuda_backend refuses bf16 here
    }
#endif
  }

 private:
  static constexpr unsigned kAllLanes = 0xFFFFFFFFU;

  static __device__ __forceinline__ unsigned shared_address(const void* at) {
    return static_cast<unsigned>(__cvta_generic_to_shared(at));
  }
  static __device__ __forceinline__ void multiply_depth_8(float (&sums)[4], std::uint32_t a_low,
                                                          std::uint32_t a_high, std::uint32_t b) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a_low), "r"(a_high), "r"(b));
  }
};

}  // namespace breakeven::ops::cuda
