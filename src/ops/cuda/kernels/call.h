// A kernel launch as plain data: which kernel with which parameters, over which grid.
#pragma once

#include <type_traits>
#include <variant>

#include "ops/cuda/kernels/attention.h"
#include "ops/cuda/kernels/attention_fp32.h"
#include "ops/cuda/kernels/attention_relative.h"
#include "ops/cuda/kernels/attention_wide.h"
#include "ops/cuda/kernels/cls.h"
#include "ops/cuda/kernels/cls_tiles.h"
#include "ops/cuda/kernels/forms.h"
#include "ops/cuda/kernels/gemm.h"
#include "ops/cuda/kernels/grid.h"
#include "ops/cuda/kernels/plain.h"
#include "ops/cuda/kernels/plain_quantised.h"
#include "ops/cuda/kernels/quantised.h"
#include "ops/cuda/kernels/rows.h"
#include "ops/cuda/kernels/split_rows.h"

namespace breakeven::ops::cuda {

// The residual stream: bf16's 8 bits would lose what small updates add to it, fp16's 11 keep it.
template <class T>
using ResidualOf = std::conditional_t<std::is_same_v<T, Bf16>, float, T>;

// Those of one format, and those that other forms than BERT's add (kernels/forms.h).
template <class Variant, class... Added>
struct Extended;
template <class... K, class... Added>
struct Extended<std::variant<K...>, Added...> {
  using Type = std::variant<K..., Added...>;
};
template <class Variant, class T>
using WithForms =
    typename Extended<Variant, PreNorm<T>, WidePreNorm<T>, GatedActivation<T>, Rotate<T>,
                      MeanRows<T>, NormHead<T>, FlashAttention<T, 64, KeyWindow>,
                      FlashAttention<T, 32, KeyWindow>, PlainPreNorm<T>, PlainGatedActivation<T>,
                      PlainRotate<T>, PlainAttention<T, KeyWindow>,
                      PlainAttention<T, RelativeKeys<T>>>::Type;

template <class T>
struct EveryKernel {
  using R = ResidualOf<T>;
  using Type =
      std::variant<EmbedNorm<T, R>, ResidualNorm<T, R>, WideEmbedNorm<T, R>, WideResidualNorm<T, R>,
                   BiasActivation<T>, FlashAttention<T, 64>, FlashAttention<T, 32>, GatherCls<T, R>,
                   ClsAttention<T>, ClsTiles<T, 4>, ClsTiles<T, 8>, ClsMerge<T>, Head<T>,
                   PlainEmbedNorm<T, R>, PlainResidualNorm<T, R>, PlainBiasActivation<T>,
                   PlainAttention<T>, PlainClsAttention<T>, PlainGemm<T>, RelativeAttention<T, 64>,
                   RelativeAttention<T, 32>, WideAttention<T, 64>, WideAttention<T, 32>>;
};
// Products of codes have fp16 around them. The stream of norms before the blocks is fp32.
template <>
struct EveryKernel<Half> {
  using Type = std::variant<
      EmbedNorm<Half, Half>, ResidualNorm<Half, Half>, WideEmbedNorm<Half, Half>,
      WideResidualNorm<Half, Half>, BiasActivation<Half>, FlashAttention<Half, 64>,
      FlashAttention<Half, 32>, GatherCls<Half, Half>, ClsAttention<Half>, ClsTiles<Half, 4>,
      ClsTiles<Half, 8>, ClsMerge<Half>, Head<Half>, PlainEmbedNorm<Half, Half>,
      PlainResidualNorm<Half, Half>, PlainBiasActivation<Half>, PlainAttention<Half>,
      PlainClsAttention<Half>, PlainGemm<Half>, QuantiseRows<Half, std::int8_t>,
      DequantiseBias<Half, std::int8_t>, DequantiseActivation, DequantiseNorm<Half, std::int8_t>,
      PlainQuantiseRows<Half, std::int8_t>, PlainDequantiseBias<Half, std::int8_t>,
      PlainDequantiseActivation, PlainDequantiseNorm<Half, std::int8_t>, PlainGemm<std::int8_t>,
      QuantiseRows<Half, E4m3>, DequantiseBias<Half, E4m3>, DequantiseRowActivation,
      DequantiseNorm<Half, E4m3>, PlainQuantiseRows<Half, E4m3>, PlainDequantiseBias<Half, E4m3>,
      PlainDequantiseRowActivation, PlainDequantiseNorm<Half, E4m3>, PlainGemm<E4m3>,
      EmbedNorm<Half, float>, WideEmbedNorm<Half, float>, PlainEmbedNorm<Half, float>,
      GatherCls<Half, float>, DequantisePreNorm<Half, std::int8_t>, DequantisePreNorm<Half, E4m3>,
      PlainDequantisePreNorm<Half, std::int8_t>, PlainDequantisePreNorm<Half, E4m3>,
      RelativeAttention<Half, 64>, RelativeAttention<Half, 32>, WideAttention<Half, 64>,
      WideAttention<Half, 32>>;
};
// The last layer's attention on tensor cores and that of relative positions take 16-bit numbers
// only.
// Products of halves have fp32 around them.
template <>
struct EveryKernel<float> {
  using Type =
      std::variant<EmbedNorm<float, float>, ResidualNorm<float, float>, WideEmbedNorm<float, float>,
                   WideResidualNorm<float, float>, BiasActivation<float>, FlashAttention<float, 64>,
                   FlashAttention<float, 32>, GatherCls<float, float>, ClsAttention<float>,
                   Head<float>, PlainEmbedNorm<float, float>, PlainResidualNorm<float, float>,
                   PlainBiasActivation<float>, PlainAttention<float>, PlainClsAttention<float>,
                   PlainGemm<float>, SplitRows, SplitNorm, PlainSplitRows, PlainGemm<SplitHalf>>;
};
template <class T>
using KernelOf = WithForms<typename EveryKernel<T>::Type, T>;
template <class T>
inline constexpr Precision kPrecisionOf = std::is_same_v<T, float>  ? Precision::fp32
                                          : std::is_same_v<T, Half> ? Precision::fp16
                                                                    : Precision::bf16;
// Of products of codes.
template <class Code>
inline constexpr Precision kPrecisionOfCode =
    std::is_same_v<Code, std::int8_t> ? Precision::int8 : Precision::fp8;
using Kernel = std::variant<KernelOf<float>, KernelOf<Half>, KernelOf<Bf16>>;

struct KernelCall {
  Kernel kernel;
  Grid grid;
};

}  // namespace breakeven::ops::cuda
