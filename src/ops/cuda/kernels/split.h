// fp32 numbers as two fp16 halves: high is the number rounded to fp16, low what that leaves,
// rounded again. Together they hold 22 bits of numbers from 2^-2 to 65,504, and smaller ones to
// 2^-25.
#pragma once

#include "ops/cuda/kernels/number.h"

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

}  // namespace breakeven::ops::cuda
