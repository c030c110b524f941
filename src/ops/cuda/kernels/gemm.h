// The plain GEMM: the twin of cublasLt's, and its stand-in where that library cannot be loaded.
#pragma once

#include "ops/cuda/gemm_call.h"
#include "ops/cuda/kernels/access.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// Grid: (columns / 16, rows / 16 rounded up, batch) as (x, y, z). Tiles of 16 x 16 pass through
// shared memory; sums in fp32.
template <class T>
struct PlainGemm {
  static constexpr char kName[] = "plain_gemm";
  static constexpr unsigned kTile = 16;
  static constexpr unsigned kThreads = kTile * kTile;
  static constexpr unsigned kStride = kTile + 1;  // one more, so that columns lie in other banks
  static constexpr std::size_t kSharedBytes = 2 * kTile * kStride * sizeof(float);
  GemmCall call;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned across = t.thread() % kTile;
    const unsigned down = t.thread() / kTile;
    const std::size_t batch = t.block_z();
    const std::size_t row = std::size_t{t.block_y()} * kTile + down;
    const std::size_t column = std::size_t{t.block_x()} * kTile + across;
    const T* a = static_cast<const T*>(call.a) + batch * call.a_stride;
    const T* b = static_cast<const T*>(call.b) + batch * call.b_stride;
    float* tile_a = reinterpret_cast<float*>(t.shared());
    float* tile_b = tile_a + kTile * kStride;
    float sum = 0;
    for (std::size_t begin = 0; begin < call.depth; begin += kTile) {
      // a's tile as [row][depth]; b's as [depth][column], read along whichever axis is contiguous.
      const std::size_t depth = begin + across;
      const bool in_a = row < call.rows && depth < call.depth;
      t.store(tile_a + down * kStride + across,
              in_a ? to_float(t.load(a + row * call.a_row + depth)) : 0.0F);
      if (call.b_in_by_out) {
        const std::size_t k = begin + down;
        const bool in_b = k < call.depth && column < call.columns;
        t.store(tile_b + down * kStride + across,
                in_b ? to_float(t.load(b + k * call.b_row + column)) : 0.0F);
      } else {
        const std::size_t n = std::size_t{t.block_x()} * kTile + down;
        const bool in_b = n < call.columns && depth < call.depth;
        t.store(tile_b + across * kStride + down,
                in_b ? to_float(t.load(b + n * call.b_row + depth)) : 0.0F);
      }
      t.sync();
      BREAKEVEN_UNROLL
      for (unsigned k = 0; k < kTile; ++k) {
        sum += t.load(tile_a + down * kStride + k) * t.load(tile_b + k * kStride + across);
      }
      t.sync();
    }
    if (row >= call.rows || column >= call.columns) return;
    if (call.bias != nullptr) {
      const T* bias = static_cast<const T*>(call.bias) + batch * call.bias_stride;
      sum += to_float(t.load(bias + column));
    }
    T* out = static_cast<T*>(call.out) + batch * call.out_stride;
    t.store(out + row * call.out_row + column, from_float<T>(sum));
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
