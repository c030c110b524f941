// Plain twins of the kernels around products of codes (kernels/quantised.h): any shape, one value
// at a time.
#pragma once

#include "ops/cuda/kernels/plain.h"
#include "ops/cuda/kernels/quantised.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {
namespace detail {

// `value(column)` gives the values of a block, computed again for every pass.
template <class Code, class Thread, class At>
BREAKEVEN_DEVICE void plain_quantise(Thread& t, const At& value, unsigned width,
                                     const QuantisedRows& out, std::size_t at, std::size_t index) {
  float low = 0;
  float high = 0;
  for (unsigned c = 0; c < width; ++c) {
    const float one = value(c);
    if (one > high) high = one;
    if (one < low) low = one;
  }
  const auto steps = steps_of<Code>(low, high);
  for (unsigned c = 0; c < width; ++c) t.store(out.values + at + c, to_code(value(c), steps));
  store_steps(t, steps, out, index);
}

template <class Code, class Thread>
BREAKEVEN_DEVICE float plain_product(Thread& t, const Dequantise<Code>& from, std::size_t sum,
                                     std::size_t row_block, std::size_t column) {
  const RowScale row = row_scale(t, from, row_block);
  const float scale = row.scale * t.load(from.column_scale + column);
  if constexpr (kHasZero<Code>) {
    const std::int32_t whole =
        t.load(from.sums + sum) - row.zero * t.load(from.column_sum + column);
    return static_cast<float>(whole) * scale;
  } else {
    return to_float(t.load(from.sums + sum)) * scale;
  }
}

}  // namespace detail

// A thread takes a row.
template <class T, class Code>
struct PlainQuantiseRows {
  static constexpr char kName[] = "plain_quantise_rows";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  QuantiseRows<T, Code> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * fast.width;
    detail::plain_quantise<Code>(
        t, [&](unsigned c) { return to_float(t.load(fast.in + at + c)); }, fast.width, fast.out, at,
        index);
  }
};

// A thread takes a value.
template <class T, class Code>
struct PlainDequantiseBias {
  static constexpr char kName[] = "plain_dequantise_bias";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = kThreads;  // values, not rows
  DequantiseBias<T, Code> fast;

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
    detail::plain_quantise<std::int8_t>(t, value, fast.width, fast.out, at, index);
  }
};

// A thread takes a row.
struct PlainDequantiseRowActivation {
  static constexpr char kName[] = "plain_dequantise_row_activation";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  DequantiseRowActivation fast;
  unsigned rows = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * fast.width;
    const auto value = [&](unsigned c) {
      return activate(fast.activation, t.load(fast.in.bias + c) +
                                           detail::plain_product(t, fast.in, at + c, index, c));
    };
    detail::plain_quantise<E4m3>(t, value, fast.width, fast.out, at, index);
  }
};

// A thread takes a row.
template <class T, class Code>
struct PlainDequantiseNorm {
  static constexpr char kName[] = "plain_dequantise_norm";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  DequantiseNorm<T, Code> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * fast.hidden;
    const auto sum = [&](unsigned c) {
      return blocks_sum(t, index, at, c) + to_float(t.load(fast.x + at + c));
    };
    float mean = 0;
    float scale = 0;
    detail::plain_moments(sum, fast.hidden, fast.norm.eps, mean, scale);
    const auto value = [&](unsigned c) {
      return (sum(c) - mean) * scale * t.load(fast.norm.gamma + c) + t.load(fast.norm.beta + c);
    };
    detail::plain_quantise<Code>(t, value, fast.hidden, fast.out, at, index);
    // In ascending order: column c is read before it is replaced, and no later one reads it again.
    for (unsigned c = 0; c < fast.hidden; ++c) t.store(fast.x + at + c, from_float<T>(value(c)));
  }
  template <class Thread>
  BREAKEVEN_DEVICE float blocks_sum(Thread& t, unsigned index, std::size_t at, unsigned c) const {
    float value = t.load(fast.in.bias + c);
    for (unsigned b = 0; b < fast.blocks; ++b) {
      value += detail::plain_product(
          t, fast.in, static_cast<std::size_t>(b) * fast.rows * fast.hidden + at + c,
          static_cast<std::size_t>(index) * fast.blocks + b, std::size_t{b} * fast.hidden + c);
    }
    return value;
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
