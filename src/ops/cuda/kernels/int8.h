// What stands around int8 products. Their operands: rows of s8 quantised at run time over their own
// range, by weights of s8 with a scale for each output column; sums are s32. So
//   row = (s8 - zero) * scale,   product = (sum - zero * column_sum) * scale * column_scale,
// exact up to the last step, because column_sum is the sum of a column's s8 weights. It is the
// CPU's contract (docs/decisions/0007), shifted by 128: its rows are u8, the GPU's library wants
// s8.
//
// The FFN's second product is cut into blocks along its depth, each with scales of its own on both
// sides; their s32 sums are added in fp32.
//
// Kernels take a row, or a block of one, a warp; up to kWidestRow columns, a multiple of 8. The
// plain twins behind them take any width.
#pragma once

#include "ops/cuda/kernels/plain.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// Rows of s8, each cut into blocks that have a scale and a zero point.
struct QuantisedRows {
  std::int8_t* values = nullptr;  // [rows, width]
  float* scale = nullptr;         // [rows, blocks]
  std::int32_t* zero = nullptr;   // [rows, blocks]
};

// What brings the sums of a product back: of its input rows and of its weights.
struct Dequantise {
  const std::int32_t* sums = nullptr;        // [blocks][rows, columns]
  const float* row_scale = nullptr;          // [rows, blocks]
  const std::int32_t* row_zero = nullptr;    // [rows, blocks]
  const float* column_scale = nullptr;       // [blocks, columns]
  const std::int32_t* column_sum = nullptr;  // [blocks, columns]
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

// The step and the zero point of numbers between low and high, which hold 0 between them.
struct Steps {
  float scale;
  float factor;
  std::int32_t zero;  // of u8
};
BREAKEVEN_DEVICE Steps steps_of(float low, float high) {
  const float range = high - low;
  const float scale = range > 0 ? range / 255.0F : 1.0F;
  const float factor = 1.0F / scale;
  return {scale, factor, nearest(-low * factor)};
}
BREAKEVEN_DEVICE std::int32_t to_s8(float value, const Steps& steps) {
  const std::int32_t q = nearest(value * steps.factor) + steps.zero;
  return (q < 0 ? 0 : q > 255 ? 255 : q) - 128;
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

// values += (sum - zero * column_sum) * row scale * column scale for eight columns of one block.
template <class Thread>
BREAKEVEN_DEVICE void add_eight(Thread& t, const std::int32_t* sums, const float* column_scale,
                                const std::int32_t* column_sum, float row_scale,
                                std::int32_t row_zero, float (&values)[8]) {
  std::int32_t sum[8];
  std::int32_t whole[8];
  float scale[8];
  load_eight_whole(t, sums, sum);
  load_eight_whole(t, column_sum, whole);
  load_eight(t, column_scale, scale);
  BREAKEVEN_UNROLL
  for (int i = 0; i < 8; ++i) {
    values[i] += static_cast<float>(sum[i] - row_zero * whole[i]) * (row_scale * scale[i]);
  }
}

// Writes a warp's registers as a block of s8, with its scale and zero point.
template <class Thread>
BREAKEVEN_DEVICE void quantise_registers(Thread& t, const RowRegisters& row, unsigned width,
                                         std::int8_t* values, float* scale, std::int32_t* zero) {
  float low = 0;
  float high = 0;
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    if (step * kRowStep + 8 * t.lane() >= width) continue;
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) {
      high = largest_of(high, row.values[step][i]);
      low = -largest_of(-low, -row.values[step][i]);
    }
  }
  const Steps steps = steps_of(-warp_max(t, -low), warp_max(t, high));
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    const unsigned column = step * kRowStep + 8 * t.lane();
    if (column >= width) continue;
    HalfLine line{{0, 0}};
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) {
      const std::int32_t q = to_s8(row.values[step][i], steps);
      line.words[i / 4] |= (static_cast<std::uint32_t>(q) & 0xFFU) << (8 * (i % 4));
    }
    t.store(reinterpret_cast<HalfLine*>(values + column), line);
  }
  if (t.lane() != 0) return;
  t.store(scale, steps.scale);
  t.store(zero, steps.zero - 128);
}

// The plain twins' way: `at(column)` gives the values, computed again for every pass.
template <class Thread, class At>
BREAKEVEN_DEVICE void plain_quantise(Thread& t, const At& at, unsigned width, std::int8_t* values,
                                     float* scale, std::int32_t* zero) {
  float low = 0;
  float high = 0;
  for (unsigned c = 0; c < width; ++c) {
    const float value = at(c);
    if (value > high) high = value;
    if (value < low) low = value;
  }
  const Steps steps = steps_of(low, high);
  for (unsigned c = 0; c < width; ++c) {
    t.store(values + c, static_cast<std::int8_t>(to_s8(at(c), steps)));
  }
  t.store(scale, steps.scale);
  t.store(zero, steps.zero - 128);
}

template <class Thread>
BREAKEVEN_DEVICE float plain_product(Thread& t, const Dequantise& from, std::size_t sum,
                                     std::size_t row_block, std::size_t column) {
  const std::int32_t whole = t.load(from.sums + sum) -
                             t.load(from.row_zero + row_block) * t.load(from.column_sum + column);
  return static_cast<float>(whole) *
         (t.load(from.row_scale + row_block) * t.load(from.column_scale + column));
}

}  // namespace detail

// Rows of T to s8, one block each.
template <class T>
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
    detail::quantise_registers(t, row, width, out.values + at, out.scale + index, out.zero + index);
  }
};

// out = product + bias, of one block. A thread takes eight columns.
template <class T>
struct DequantiseBias {
  static constexpr char kName[] = "dequantise_bias";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = 8 * kThreads;  // values, not rows
  Dequantise in;
  T* out = nullptr;  // [rows, columns]
  unsigned rows = 0;
  unsigned columns = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at =
        static_cast<std::size_t>(t.block_x()) * kRowsABlock + std::size_t{8} * t.thread();
    if (at >= static_cast<std::size_t>(rows) * columns) return;
    const std::size_t row = at / columns;
    const std::size_t column = at % columns;
    float values[8];
    load_eight(t, in.bias + column, values);
    detail::add_eight(t, in.sums + at, in.column_scale + column, in.column_sum + column,
                      t.load(in.row_scale + row), t.load(in.row_zero + row), values);
    store_eight(t, out + at, values);
  }
};

// out = s8 of activation(product + bias): the FFN's hidden layer, cut into blocks of `width`
// columns. The product itself is of one block.
struct DequantiseActivation {
  static constexpr char kName[] = "dequantise_activation";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;  // blocks of rows, not rows
  Dequantise in;
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
    const float row_scale = t.load(in.row_scale + which);
    const std::int32_t row_zero = t.load(in.row_zero + which);
    RowRegisters row;
    clear(row);
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kRowSteps; ++step) {
      const unsigned column = step * kRowStep + 8 * t.lane();
      if (column >= width) continue;
      float(&values)[8] = row.values[step];
      load_eight(t, in.bias + first + column, values);
      detail::add_eight(t, in.sums + at + column, in.column_scale + first + column,
                        in.column_sum + first + column, row_scale, row_zero, values);
      BREAKEVEN_UNROLL
      for (int i = 0; i < 8; ++i) values[i] = activate(activation, values[i]);
    }
    detail::quantise_registers(t, row, width, out.values + at, out.scale + index, out.zero + index);
  }
};

// x[row] = LN(sum of the blocks' products + bias + x[row]), and the same as s8.
template <class T>
struct DequantiseNorm {
  static constexpr char kName[] = "dequantise_norm";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;
  Dequantise in;
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
    clear(row);
    add_to_row(t, row, in.bias, hidden);
    for (unsigned b = 0; b < blocks; ++b) {
      const float row_scale = t.load(in.row_scale + std::size_t{index} * blocks + b);
      const std::int32_t row_zero = t.load(in.row_zero + std::size_t{index} * blocks + b);
      const std::int32_t* sums = in.sums + static_cast<std::size_t>(b) * rows * hidden + at;
      BREAKEVEN_UNROLL
      for (unsigned step = 0; step < kRowSteps; ++step) {
        const unsigned column = step * kRowStep + 8 * t.lane();
        if (column >= hidden) continue;
        detail::add_eight(t, sums + column, in.column_scale + b * hidden + column,
                          in.column_sum + b * hidden + column, row_scale, row_zero,
                          row.values[step]);
      }
    }
    add_to_row(t, row, x + at, hidden);
    norm_and_store(t, row, norm, hidden, x + at, static_cast<T*>(nullptr));
    detail::quantise_registers(t, row, hidden, out.values + at, out.scale + index,
                               out.zero + index);
  }
};

// A thread takes a row.
template <class T>
struct PlainQuantiseRows {
  static constexpr char kName[] = "plain_quantise_rows";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  QuantiseRows<T> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * fast.width;
    detail::plain_quantise(
        t, [&](unsigned c) { return to_float(t.load(fast.in + at + c)); }, fast.width,
        fast.out.values + at, fast.out.scale + index, fast.out.zero + index);
  }
};

// A thread takes a value.
template <class T>
struct PlainDequantiseBias {
  static constexpr char kName[] = "plain_dequantise_bias";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = kThreads;  // values, not rows
  DequantiseBias<T> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at = static_cast<std::size_t>(t.block_x()) * kRowsABlock + t.thread();
    if (at >= static_cast<std::size_t>(fast.rows) * fast.columns) return;
    const std::size_t column = at % fast.columns;
    const float value = t.load(fast.in.bias + column) +
                        detail::plain_product(t, fast.in, at, at / fast.columns, column);
    t.store(fast.out + at, from_float<T>(value));
  }
};

// A thread takes a block of a row.
struct PlainDequantiseActivation {
  static constexpr char kName[] = "plain_dequantise_activation";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;  // blocks of rows, not rows
  DequantiseActivation fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows * fast.blocks) return;
    const unsigned row = index / fast.blocks;
    const unsigned first = index % fast.blocks * fast.width;
    const std::size_t at = static_cast<std::size_t>(row) * fast.blocks * fast.width + first;
    const auto value = [&](unsigned c) {
      return activate(fast.activation,
                      t.load(fast.in.bias + first + c) +
                          detail::plain_product(t, fast.in, at + c, row, first + c));
    };
    detail::plain_quantise(t, value, fast.width, fast.out.values + at, fast.out.scale + index,
                           fast.out.zero + index);
  }
};

// A thread takes a row.
template <class T>
struct PlainDequantiseNorm {
  static constexpr char kName[] = "plain_dequantise_norm";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  DequantiseNorm<T> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * fast.hidden;
    const auto sum = [&](unsigned c) {
      float value = t.load(fast.in.bias + c);
      for (unsigned b = 0; b < fast.blocks; ++b) {
        value += detail::plain_product(
            t, fast.in, static_cast<std::size_t>(b) * fast.rows * fast.hidden + at + c,
            static_cast<std::size_t>(index) * fast.blocks + b, std::size_t{b} * fast.hidden + c);
      }
      return value + to_float(t.load(fast.x + at + c));
    };
    float mean = 0;
    float scale = 0;
    detail::plain_moments(sum, fast.hidden, fast.norm.eps, mean, scale);
    const auto value = [&](unsigned c) {
      return (sum(c) - mean) * scale * t.load(fast.norm.gamma + c) + t.load(fast.norm.beta + c);
    };
    detail::plain_quantise(t, value, fast.hidden, fast.out.values + at, fast.out.scale + index,
                           fast.out.zero + index);
    // In ascending order: column c is read before it is replaced, and no later one reads it again.
    for (unsigned c = 0; c < fast.hidden; ++c) t.store(fast.x + at + c, from_float<T>(value(c)));
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
