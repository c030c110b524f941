// The rows that fp32x3's products read (split.h), and the kernels around those products.
#pragma once

#include "ops/cuda/kernels/rows.h"
#include "ops/cuda/kernels/split.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// out = the halves of activation(in + bias), or of `in` alone where bias is null.
struct SplitRows {
  static constexpr char kName[] = "split_rows";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = 8 * kThreads;  // values, not rows
  const float* in = nullptr;                             // [rows, width]
  const float* bias = nullptr;                           // [width], or null
  SplitHalf* out = nullptr;                              // [rows, 3 width]
  Activation activation = Activation::gelu_erf;
  unsigned rows = 0;
  unsigned width = 0;  // a multiple of 8

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at =
        static_cast<std::size_t>(t.block_x()) * kRowsABlock + std::size_t{8} * t.thread();
    if (at >= static_cast<std::size_t>(rows) * width) return;
    float value[8];
    load_eight(t, in + at, value);
    if (bias != nullptr) {
      float added[8];
      load_eight(t, bias + at % width, added);
      BREAKEVEN_UNROLL
      for (int i = 0; i < 8; ++i) value[i] = activate(activation, value[i] + added[i]);
    }
    store_split(t, out + 3 * at, value);
  }
};

// Its twin: a thread takes a value.
struct PlainSplitRows {
  static constexpr char kName[] = "plain_split_rows";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = kThreads;  // values, not rows
  SplitRows fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at = static_cast<std::size_t>(t.block_x()) * kRowsABlock + t.thread();
    if (at >= static_cast<std::size_t>(fast.rows) * fast.width) return;
    float value = t.load(fast.in + at);
    if (fast.bias != nullptr) {
      value = activate(fast.activation, value + t.load(fast.bias + at % fast.width));
    }
    const Half high = from_float<Half>(value);
    const Half low = from_float<Half>(value - to_float(high));
    SplitHalf* to = fast.out + 3 * (at - at % 8) + at % 8;
    t.store(to, SplitHalf{high.bits});
    t.store(to + 8, SplitHalf{high.bits});
    t.store(to + 16, SplitHalf{low.bits});
  }
};

// As ResidualNorm, and the halves of x.
struct SplitNorm {
  static constexpr char kName[] = "split_norm";
  static constexpr unsigned kThreads = ResidualNorm<float, float>::kThreads;
  static constexpr unsigned kRowsABlock = ResidualNorm<float, float>::kRowsABlock;
  ResidualNorm<float, float> norm;
  SplitHalf* out = nullptr;  // [rows, 3 H]

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    if (index >= norm.rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * norm.hidden;
    RowRegisters row;
    norm.norm_row(t, row, at);
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kRowSteps; ++step) {
      const unsigned column = step * kRowStep + 8 * t.lane();
      if (column < norm.hidden) store_split(t, out + 3 * (at + column), row.values[step]);
    }
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
