// What stands around products of 8-bit codes, which are s8 or e4m3 (`Code`). Rows are quantised at
// run time, weights have a scale for each output column; with row = the codes of a row:
//   s8    rows over their own range, with a zero point; sums are s32:
//         product = (sum - zero * column_sum) * scale * column_scale,
//         exact up to the last step, because column_sum is the sum of a column's s8 weights. It is
//         the CPU's contract (docs/decisions/0007), shifted by 128: its rows are u8, the GPU's
//         library wants s8.
//   e4m3  rows over their own largest value; sums are fp32, rounded to bf16 by the product:
//         product = sum * scale * column_scale. The product itself knows no scale, because the
//         library takes one for each row on sm_90 only, where that of queries, keys and values
//         does (docs/decisions/0017).
//
// With s8 the FFN's second product is cut into blocks along its depth, each with scales of its own
// on both sides; their s32 sums are added in fp32. e4m3 has 17 powers of two within a row and does
// without.
//
// Kernels take a row, or a block of one, a warp; up to kWidestRow columns, a multiple of 8. The
// plain twins (kernels/plain_quantised.h) take any width.
#pragma once

#include <type_traits>

#include "ops/cuda/kernels/rows.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

template <class Code>
inline constexpr bool kHasZero = std::is_same_v<Code, std::int8_t>;
// What a product of codes gives.
template <class Code>
using SumOf = std::conditional_t<kHasZero<Code>, std::int32_t, Bf16>;

// Rows of codes, each cut into blocks that have a scale and, where they are s8, a zero point.
struct QuantisedRows {
  std::uint8_t* values = nullptr;  // [rows, width], the bits of s8 or e4m3
  float* scale = nullptr;          // [rows, blocks]
  std::int32_t* zero = nullptr;    // [rows, blocks]; null for e4m3
};

// What brings the sums of a product back: of its input rows and of its weights.
template <class Code>
struct Dequantise {
  const SumOf<Code>* sums = nullptr;         // [blocks][rows, columns]
  const float* row_scale = nullptr;          // [rows, blocks]
  const std::int32_t* row_zero = nullptr;    // [rows, blocks]; null for e4m3
  const float* column_scale = nullptr;       // [blocks, columns]
  const std::int32_t* column_sum = nullptr;  // [blocks, columns]; null for e4m3
  const float* bias = nullptr;               // [columns]
};

namespace detail {

struct alignas(8) HalfLine {
  std::uint32_t words[2];
};

BREAKEVEN_DEVICE std::int32_t nearest(float value) {
#if defined(__CUDA_ARCH__)
  return __float2int_rn(value);
#else
  return static_cast<std::int32_t>(std::nearbyint(value));
#endif
}

// How numbers between low and high, which hold 0 between them, become codes: by a factor, and for
// s8 a zero point, which is that of u8 here.
template <class Code>
struct Steps {
  float scale;
  float factor;
  std::int32_t zero;
};
template <class Code>
BREAKEVEN_DEVICE Steps<Code> steps_of(float low, float high) {
  if constexpr (kHasZero<Code>) {
    const float range = high - low;
    const float scale = range > 0 ? range / 255.0F : 1.0F;
    const float factor = 1.0F / scale;
    return {scale, factor, nearest(-low * factor)};
  } else {
    const float most = largest_of(-low, high);
    // Below 2^-100 the factor would overflow; such a row is 0 for all that follows.
    const float scale = most > 7.9e-31F ? most / kLargestE4m3 : 1.0F;
    return {scale, 1.0F / scale, 0};
  }
}
BREAKEVEN_DEVICE std::int32_t to_s8(float value, const Steps<std::int8_t>& steps) {
  const std::int32_t q = nearest(value * steps.factor) + steps.zero;
  return (q < 0 ? 0 : q > 255 ? 255 : q) - 128;
}

// Four codes as one word, the first in the low byte.
template <class Code>
BREAKEVEN_DEVICE std::uint32_t pack_codes(const float* values, const Steps<Code>& steps) {
  if constexpr (kHasZero<Code>) {
    std::uint32_t word = 0;
    BREAKEVEN_UNROLL
    for (int i = 0; i < 4; ++i) {
      word |= (static_cast<std::uint32_t>(to_s8(values[i], steps)) & 0xFFU) << (8 * i);
    }
    return word;
  } else {
    return pack_e4m3(values[0] * steps.factor, values[1] * steps.factor) |
           (pack_e4m3(values[2] * steps.factor, values[3] * steps.factor) << 16);
  }
}
template <class Code>
BREAKEVEN_DEVICE std::uint8_t to_code(float value, const Steps<Code>& steps) {
  if constexpr (kHasZero<Code>) {
    return static_cast<std::uint8_t>(to_s8(value, steps));
  } else {
    return from_float<E4m3>(value * steps.factor).bits;
  }
}
template <class Code, class Thread>
BREAKEVEN_DEVICE void store_eight_codes(Thread& t, std::uint8_t* at, const float (&values)[8],
                                        const Steps<Code>& steps) {
  const HalfLine line{{pack_codes(values, steps), pack_codes(values + 4, steps)}};
  t.store(reinterpret_cast<HalfLine*>(at), line);
}
// Of the block `at` of all rows' blocks.
template <class Code, class Thread>
BREAKEVEN_DEVICE void store_steps(Thread& t, const Steps<Code>& steps, const QuantisedRows& out,
                                  std::size_t at) {
  t.store(out.scale + at, steps.scale);
  if constexpr (kHasZero<Code>) t.store(out.zero + at, steps.zero - 128);
}

template <class Thread>
BREAKEVEN_DEVICE void load_eight_whole(Thread& t, const std::int32_t* at, std::int32_t (&out)[8]) {
  BREAKEVEN_UNROLL
  for (int half = 0; half < 2; ++half) {
    const Line line = t.load(reinterpret_cast<const Line*>(at + 4 * half));
    BREAKEVEN_UNROLL
    for (int i = 0; i < 4; ++i) out[4 * half + i] = static_cast<std::int32_t>(line.words[i]);
  }
}

// Of one block of one input row.
struct RowScale {
  float scale;
  std::int32_t zero;
};
template <class Code, class Thread>
BREAKEVEN_DEVICE RowScale row_scale(Thread& t, const Dequantise<Code>& from, std::size_t at) {
  RowScale row{t.load(from.row_scale + at), 0};
  if constexpr (kHasZero<Code>) row.zero = t.load(from.row_zero + at);
  return row;
}

// values += the products of eight columns of one block; `sum` and `column` are offsets.
template <class Code, class Thread>
BREAKEVEN_DEVICE void add_eight(Thread& t, const Dequantise<Code>& from, std::size_t sum,
                                std::size_t column, const RowScale& row, float (&values)[8]) {
  float scale[8];
  if constexpr (kHasZero<Code>) {
    std::int32_t sums[8];
    std::int32_t whole[8];
    load_eight_whole(t, from.sums + sum, sums);
    load_eight_whole(t, from.column_sum + column, whole);
    load_eight(t, from.column_scale + column, scale);
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) {
      values[i] += static_cast<float>(sums[i] - row.zero * whole[i]) * (row.scale * scale[i]);
    }
  } else {
    float sums[8];
    load_eight(t, from.sums + sum, sums);
    load_eight(t, from.column_scale + column, scale);
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) values[i] += sums[i] * (row.scale * scale[i]);
  }
}

BREAKEVEN_DEVICE void widen_range(const float (&values)[8], float& low, float& high) {
  BREAKEVEN_UNROLL
  for (int i = 0; i < 8; ++i) {
    high = largest_of(high, values[i]);
    low = -largest_of(-low, -values[i]);
  }
}

// Writes a warp's registers as the codes of block `index` of all rows' blocks, which begin at `at`.
template <class Code, class Thread>
BREAKEVEN_DEVICE void quantise_registers(Thread& t, const RowRegisters& row, unsigned width,
                                         const QuantisedRows& out, std::size_t at,
                                         std::size_t index) {
  float low = 0;
  float high = 0;
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    if (step * kRowStep + 8 * t.lane() < width) widen_range(row.values[step], low, high);
  }
  const auto steps = steps_of<Code>(-warp_max(t, -low), warp_max(t, high));
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    const unsigned column = step * kRowStep + 8 * t.lane();
    if (column < width) store_eight_codes(t, out.values + at + column, row.values[step], steps);
  }
  if (t.lane() == 0) store_steps(t, steps, out, index);
}

}  // namespace detail

// Rows of T to codes, one block each.
template <class T, class Code>
struct QuantiseRows {
  static constexpr char kName[] = "quantise_rows";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;
  const T* in = nullptr;  // [rows, width]
  QuantisedRows out;
  unsigned rows = 0;
  unsigned width = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    if (index >= rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * width;
    RowRegisters row;
    clear(row);
    add_to_row(t, row, in + at, width);
    detail::quantise_registers<Code>(t, row, width, out, at, index);
  }
};

// out = product + bias, of one block. A thread takes eight columns.
template <class T, class Code>
struct DequantiseBias {
  static constexpr char kName[] = "dequantise_bias";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = 8 * kThreads;  // values, not rows
  Dequantise<Code> in;
  T* out = nullptr;  // [rows, columns]
  unsigned rows = 0;
  unsigned columns = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at =
        static_cast<std::size_t>(t.block_x()) * kRowsABlock + std::size_t{8} * t.thread();
    if (at >= static_cast<std::size_t>(rows) * columns) return;
    const std::size_t column = at % columns;
    float values[8];
    load_eight(t, in.bias + column, values);
    detail::add_eight(t, in, at, column, detail::row_scale(t, in, at / columns), values);
    store_eight(t, out + at, values);
  }
};

// out = s8 of activation(product + bias): the FFN's hidden layer, cut into blocks of `width`
// columns. The product itself is of one block.
struct DequantiseActivation {
  static constexpr char kName[] = "dequantise_activation";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;  // blocks of rows, not rows
  Dequantise<std::int8_t> in;
  QuantisedRows out;
  Activation activation = Activation::gelu_erf;
  unsigned rows = 0;
  unsigned width = 0;
  unsigned blocks = 1;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    if (index >= rows * blocks) return;
    const unsigned which = index / blocks;
    const unsigned first = index % blocks * width;  // column of the block
    const std::size_t at = static_cast<std::size_t>(which) * blocks * width + first;
    const detail::RowScale scale = detail::row_scale(t, in, which);
    RowRegisters row;
    clear(row);
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kRowSteps; ++step) {
      const unsigned column = step * kRowStep + 8 * t.lane();
      if (column >= width) continue;
      float(&values)[8] = row.values[step];
      load_eight(t, in.bias + first + column, values);
      detail::add_eight(t, in, at + column, first + column, scale, values);
      BREAKEVEN_UNROLL
      for (int i = 0; i < 8; ++i) values[i] = activate_as<std::int8_t>(activation, values[i]);
    }
    detail::quantise_registers<std::int8_t>(t, row, width, out, at, index);
  }
};

// The same to e4m3, where a row of the hidden layer has one scale: a block of threads takes it.
struct DequantiseRowActivation {
  static constexpr char kName[] = "dequantise_row_activation";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kWarps = kThreads / kWarp;
  static constexpr unsigned kStep = 8 * kThreads;  // columns that the block takes at once
  static constexpr unsigned kWidest = kRowSteps * kStep;
  static constexpr std::size_t kSharedBytes = kWarps * sizeof(float);
  Dequantise<E4m3> in;
  QuantisedRows out;
  Activation activation = Activation::gelu_erf;
  unsigned width = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t index = t.block_x();
    const std::size_t at = index * width;
    const detail::RowScale scale = detail::row_scale(t, in, index);
    RowRegisters row;
    clear(row);
    float low = 0;
    float high = 0;
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kRowSteps; ++step) {
      const unsigned column = step * kStep + 8 * t.thread();
      if (column >= width) continue;
      float(&values)[8] = row.values[step];
      load_eight(t, in.bias + column, values);
      detail::add_eight(t, in, at + column, column, scale, values);
      BREAKEVEN_UNROLL
      for (int i = 0; i < 8; ++i) values[i] = activate_as<E4m3>(activation, values[i]);
      detail::widen_range(values, low, high);
    }
    // Only the larger end counts: there is no zero point.
    float most = warp_max(t, largest_of(-low, high));
    auto* shared = reinterpret_cast<float*>(t.shared());
    if (t.lane() == 0) t.store(shared + t.warp(), most);
    t.sync();
    BREAKEVEN_UNROLL
    for (unsigned warp = 0; warp < kWarps; ++warp) most = largest_of(most, t.load(shared + warp));
    const auto steps = detail::steps_of<E4m3>(-most, most);
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kRowSteps; ++step) {
      const unsigned column = step * kStep + 8 * t.thread();
      if (column >= width) continue;
      detail::store_eight_codes(t, out.values + at + column, row.values[step], steps);
    }
    if (t.thread() == 0) detail::store_steps(t, steps, out, index);
  }
};

// x[row] = LN(sum of the blocks' products + bias + x[row]), and the same as codes.
template <class T, class Code>
struct DequantiseNorm {
  static constexpr char kName[] = "dequantise_norm";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;
  Dequantise<Code> in;
  NormParameters norm;
  T* x = nullptr;  // [rows, H]: the residual stream
  QuantisedRows out;
  unsigned rows = 0;
  unsigned hidden = 0;
  unsigned blocks = 1;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    if (index >= rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * hidden;
    RowRegisters row;
    sum_blocks(t, row, index, at);
    add_to_row(t, row, x + at, hidden);
    norm_and_store(t, row, norm, hidden, x + at, static_cast<T*>(nullptr));
    detail::quantise_registers<Code>(t, row, hidden, out, at, index);
  }
  template <class Thread>
  BREAKEVEN_DEVICE void sum_blocks(Thread& t, RowRegisters& row, unsigned index,
                                   std::size_t at) const {
    clear(row);
    add_to_row(t, row, in.bias, hidden);
    for (unsigned b = 0; b < blocks; ++b) {
      const detail::RowScale scale = detail::row_scale(t, in, std::size_t{index} * blocks + b);
      const std::size_t sums = static_cast<std::size_t>(b) * rows * hidden + at;
      BREAKEVEN_UNROLL
      for (unsigned step = 0; step < kRowSteps; ++step) {
        const unsigned column = step * kRowStep + 8 * t.lane();
        if (column >= hidden) continue;
        detail::add_eight(t, in, sums + column, b * hidden + column, scale, row.values[step]);
      }
    }
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
