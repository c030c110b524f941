// How kernels read and write rows: 16 bytes at a time, widened to fp32 in registers.
//
// A kernel is a struct of plain data (its parameters) with
//   template <class Thread> void operator()(Thread& t) const;
// which is what one thread of one block does. `Thread` is DeviceThread (device_thread.cuh) on a GPU
// and EmulatedThread in the host executor of the tests. Every access to memory that other threads
// can see goes through it, so that the executor can check bounds, races and bank conflicts:
//   t.thread(), t.warp(), t.lane(), t.block_x(), t.block_y()
//   t.shared()                                  the block's shared memory, 16-byte aligned
//   t.load(pointer), t.store(pointer, value)    global or shared
//   t.copy_async16(shared, global, keep), t.commit_copies(), t.wait_copies<still in flight>()
//   t.sync(), t.sync_warp()                     barrier of the block, of the warp
//   t.shuffle(value, lane), t.shuffle_xor(value, mask)
//   t.load_matrices(registers, row), t.load_matrices_transposed(registers, row)   ldmatrix .x4
//   t.template multiply<T>(sums, a, b)          mma of 16 x 8 x 16
// Shuffles, matrix loads and products are calls of the whole warp: all 32 lanes make them together.
#pragma once

#include <cstdint>

#include "ops/cuda/kernels/number.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

inline constexpr unsigned kWarp = 32;

struct alignas(16) Line {
  std::uint32_t words[4];
};
struct alignas(8) HalfLine {
  std::uint32_t words[2];
};

// Eight neighbours of a row, widened. `at` is 16-byte aligned.
template <class Thread>
BREAKEVEN_DEVICE void load_eight(Thread& t, const float* at, float (&out)[8]) {
  BREAKEVEN_UNROLL
  for (int half = 0; half < 2; ++half) {
    const Line line = t.load(reinterpret_cast<const Line*>(at + 4 * half));
    BREAKEVEN_UNROLL
    for (int i = 0; i < 4; ++i) out[4 * half + i] = detail::bits_to_float(line.words[i]);
  }
}
template <class Thread, class T>
BREAKEVEN_DEVICE void load_eight(Thread& t, const T* at, float (&out)[8]) {
  const Line line = t.load(reinterpret_cast<const Line*>(at));
  BREAKEVEN_UNROLL
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = to_float(T{static_cast<std::uint16_t>(line.words[i] & 0xFFFFU)});
    out[2 * i + 1] = to_float(T{static_cast<std::uint16_t>(line.words[i] >> 16)});
  }
}

template <class Thread>
BREAKEVEN_DEVICE void store_eight(Thread& t, float* at, const float (&values)[8]) {
  BREAKEVEN_UNROLL
  for (int half = 0; half < 2; ++half) {
    Line line;
    BREAKEVEN_UNROLL
    for (int i = 0; i < 4; ++i) line.words[i] = detail::float_to_bits(values[4 * half + i]);
    t.store(reinterpret_cast<Line*>(at + 4 * half), line);
  }
}
template <class Thread, class T>
BREAKEVEN_DEVICE void store_eight(Thread& t, T* at, const float (&values)[8]) {
  Line line;
  BREAKEVEN_UNROLL
  for (int i = 0; i < 4; ++i) line.words[i] = pack_pair<T>(values[2 * i], values[2 * i + 1]);
  t.store(reinterpret_cast<Line*>(at), line);
}

// The sum over all lanes, in every lane, added in the same order everywhere.
template <class Thread>
BREAKEVEN_DEVICE float warp_sum(Thread& t, float value) {
  BREAKEVEN_UNROLL
  for (unsigned mask = kWarp / 2; mask > 0; mask /= 2) value += t.shuffle_xor(value, mask);
  return value;
}
template <class Thread>
BREAKEVEN_DEVICE float warp_max(Thread& t, float value) {
  BREAKEVEN_UNROLL
  for (unsigned mask = kWarp / 2; mask > 0; mask /= 2) {
    value = largest_of(value, t.shuffle_xor(value, mask));
  }
  return value;
}

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
