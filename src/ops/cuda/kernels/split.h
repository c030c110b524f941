// fp32 numbers as two fp16 halves: high is the number rounded to fp16, low what that leaves,
// rounded again. Together they hold 22 bits of numbers from 2^-2 to 65,504, and smaller ones to
// 2^-25.
#pragma once

#include "ops/cuda/kernels/access.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// Of two neighbours, as mma reads them.
struct SplitPair {
  std::uint32_t high;
  std::uint32_t low;
};
BREAKEVEN_HOST_DEVICE SplitPair split_pair(float first, float second) {
  const Half left = from_float<Half>(first);
  const Half right = from_float<Half>(second);
  return {static_cast<std::uint32_t>(left.bits) | (static_cast<std::uint32_t>(right.bits) << 16),
          pack_pair<Half>(first - to_float(left), second - to_float(right))};
}

// fp32x3 multiplies matrices of such halves three times as deep as they are wide. Eight neighbours
// of a row of activations stand as high, high, low, those of a row of weights as high, low, high:
// the sum over the depth is high high + high low + low high. Widths are multiples of 8.
struct SplitHalf {
  std::uint16_t bits;
};
// Weights are multiplied with this before they are split, which keeps the low halves of small ones
// away from fp16's end, and the sums with its inverse.
inline constexpr float kSplitLift = 256;
inline constexpr float kLargestSplitWeight = 65504 / kSplitLift;

// Writes eight neighbours of a row of activations; `at` is 16-byte aligned.
template <class Thread>
BREAKEVEN_DEVICE void store_split(Thread& t, SplitHalf* at, const float (&values)[8]) {
  Line high;
  Line low;
  BREAKEVEN_UNROLL
  for (int i = 0; i < 4; ++i) {
    const SplitPair pair = split_pair(values[2 * i], values[2 * i + 1]);
    high.words[i] = pair.high;
    low.words[i] = pair.low;
  }
  t.store(reinterpret_cast<Line*>(at), high);
  t.store(reinterpret_cast<Line*>(at + 8), high);
  t.store(reinterpret_cast<Line*>(at + 16), low);
}

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
