// When a warm-up is over: the same pass again and again until the last few show neither trend nor
// level shift.
#pragma once

#include <cstddef>
#include <span>

namespace breakeven::measure {

struct SteadyRule {
  std::size_t window = 4;   // last passes that are looked at; at least 2
  double tolerance = 0.03;  // relative: shift and trend over the window may be this large
};

struct Steadiness {
  bool steady = false;
  double level_shift = 0;  // median of the window's second half ÷ that of its first, less 1
  double trend = 0;        // Theil-Sen slope over the whole window ÷ its median
};

// Seconds of all passes so far, in time order. Fewer than `window` passes are not steady.
Steadiness steadiness(std::span<const double> pass_seconds, const SteadyRule& rule = {});

}  // namespace breakeven::measure
