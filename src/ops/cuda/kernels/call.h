// A kernel launch as plain data: which kernel with which parameters, over which grid.
#pragma once

#include <cstddef>
#include <type_traits>
#include <variant>

#include "ops/cuda/kernels/attention.h"
#include "ops/cuda/kernels/cls.h"
#include "ops/cuda/kernels/gemm.h"
#include "ops/cuda/kernels/plain.h"
#include "ops/cuda/kernels/rows.h"

namespace breakeven::ops::cuda {

// The residual stream: bf16's 8 bits would lose what small updates add to it, fp16's 11 keep it.
template <class T>
using ResidualOf = std::conditional_t<std::is_same_v<T, Bf16>, float, T>;

template <class T>
struct EveryKernel {
  using R = ResidualOf<T>;
  using Type =
      std::variant<EmbedNorm<T, R>, ResidualNorm<T, R>, BiasActivation<T>, FlashAttention<T, 64>,
                   FlashAttention<T, 32>, GatherCls<T, R>, ClsAttention<T>, Head<T>,
                   PlainEmbedNorm<T, R>, PlainResidualNorm<T, R>, PlainBiasActivation<T>,
                   PlainAttention<T>, PlainClsAttention<T>, PlainGemm<T>>;
};
// Tensor cores take 16-bit numbers only.
template <>
struct EveryKernel<float> {
  using Type = std::variant<EmbedNorm<float, float>, ResidualNorm<float, float>,
                            BiasActivation<float>, GatherCls<float, float>, ClsAttention<float>,
                            Head<float>, PlainEmbedNorm<float, float>,
                            PlainResidualNorm<float, float>, PlainBiasActivation<float>,
                            PlainAttention<float>, PlainClsAttention<float>, PlainGemm<float>>;
};
template <class T>
using KernelOf = typename EveryKernel<T>::Type;
using Kernel = std::variant<KernelOf<float>, KernelOf<Half>, KernelOf<Bf16>>;

struct Grid {
  std::size_t x = 1, y = 1, z = 1;
  std::size_t shared_bytes = 0;  // dynamic shared memory of a block
};

struct KernelCall {
  Kernel kernel;
  Grid grid;
};

}  // namespace breakeven::ops::cuda
