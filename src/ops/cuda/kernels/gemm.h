// The plain GEMM: the twin of cublasLt's, and its stand-in where that library cannot be loaded.
#pragma once

#include "ops/cuda/gemm_call.h"
#include "ops/cuda/kernels/access.h"
#include "ops/cuda/kernels/grid.h"
#include "ops/cuda/kernels/split.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// What a product of T sums in, and gives; biases are of what it gives.
template <class T>
struct ProductOf {
  using Sum = float;
  using Out = T;
  static BREAKEVEN_DEVICE Sum widen(T value) { return to_float(value); }
  static BREAKEVEN_DEVICE Out narrow(Sum sum) { return from_float<T>(sum); }
};
template <>
struct ProductOf<std::int8_t> {
  using Sum = std::int32_t;
  using Out = std::int32_t;
  static BREAKEVEN_DEVICE Sum widen(std::int8_t value) { return value; }
  static BREAKEVEN_DEVICE Sum widen(Out value) { return value; }
  static BREAKEVEN_DEVICE Out narrow(Sum sum) { return sum; }
};
template <>
struct ProductOf<E4m3> {
  using Sum = float;
  using Out = Bf16;
  static BREAKEVEN_DEVICE Sum widen(E4m3 value) { return to_float(value); }
  static BREAKEVEN_DEVICE Sum widen(Out value) { return to_float(value); }
  static BREAKEVEN_DEVICE Out narrow(Sum sum) { return from_float<Bf16>(sum); }
};
template <>
struct ProductOf<SplitHalf> {
  using Sum = float;
  using Out = float;
  static BREAKEVEN_DEVICE Sum widen(SplitHalf value) { return to_float(Half{value.bits}); }
  static BREAKEVEN_DEVICE Sum widen(Out value) { return value; }
  static BREAKEVEN_DEVICE Out narrow(Sum sum) { return sum; }
};

// Tiles of 16 x 16 pass through shared memory. Codes have no bias: s8 by s8 gives s32, e4m3 by e4m3
// bf16.
template <class T>
struct PlainGemm {
  using Product = ProductOf<T>;
  using Sum = typename Product::Sum;
  using Out = typename Product::Out;
  static constexpr char kName[] = "plain_gemm";
  static constexpr unsigned kTile = 16;
  static constexpr unsigned kThreads = kTile * kTile;
  static constexpr unsigned kStride = kTile + 1;  // one more, so that columns lie in other banks
  static constexpr std::size_t kSharedBytes = 2 * kTile * kStride * sizeof(Sum);
  GemmCall call;

  // Rows go along x, where a grid may have 2^31 blocks.
  static constexpr Grid grid(const GemmCall& call) {
    return {.x = (call.rows + kTile - 1) / kTile,
            .y = (call.columns + kTile - 1) / kTile,
            .z = call.batch,
            .shared_bytes = kSharedBytes};
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned across = t.thread() % kTile;
    const unsigned down = t.thread() / kTile;
    const std::size_t batch = t.block_z();
    const std::size_t row = std::size_t{t.block_x()} * kTile + down;
    const std::size_t column = std::size_t{t.block_y()} * kTile + across;
    const T* a = static_cast<const T*>(call.a) + batch * call.a_stride;
    const T* b = static_cast<const T*>(call.b) + batch * call.b_stride;
    Sum* tile_a = reinterpret_cast<Sum*>(t.shared());
    Sum* tile_b = tile_a + kTile * kStride;
    Sum sum = 0;
    for (std::size_t begin = 0; begin < call.depth; begin += kTile) {
      // a's tile as [row][depth]; b's as [depth][column], read along whichever axis is contiguous.
      const std::size_t depth = begin + across;
      const bool in_a = row < call.rows && depth < call.depth;
      t.store(tile_a + down * kStride + across,
              in_a ? Product::widen(t.load(a + row * call.a_row + depth)) : Sum{0});
      if (call.b_in_by_out) {
        const std::size_t k = begin + down;
        const bool in_b = k < call.depth && column < call.columns;
        t.store(tile_b + down * kStride + across,
                in_b ? Product::widen(t.load(b + k * call.b_row + column)) : Sum{0});
      } else {
        const std::size_t n = std::size_t{t.block_y()} * kTile + down;
        const bool in_b = n < call.columns && depth < call.depth;
        t.store(tile_b + across * kStride + down,
                in_b ? Product::widen(t.load(b + n * call.b_row + depth)) : Sum{0});
      }
      t.sync();
      BREAKEVEN_UNROLL
      for (unsigned k = 0; k < kTile; ++k) {
        sum += t.load(tile_a + down * kStride + k) * t.load(tile_b + k * kStride + across);
      }
      t.sync();
    }
    if (row >= call.rows || column >= call.columns) return;
    if constexpr (std::is_same_v<T, SplitHalf>) sum *= 1 / kSplitLift;
    if (call.bias != nullptr) {
      const Out* bias = static_cast<const Out*>(call.bias) + batch * call.bias_stride;
      sum += Product::widen(t.load(bias + column));
    }
    const std::size_t at = batch * call.out_stride + row * call.out_row + column;
    if constexpr (std::is_same_v<T, Out>) {
      if (call.add != nullptr) sum += Product::widen(t.load(static_cast<const T*>(call.add) + at));
    }
    t.store(static_cast<Out*>(call.out) + at, Product::narrow(sum));
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
