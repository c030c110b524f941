// The scaling study: is the time over n texts linear in n, and what does a larger batch change?
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "study/sweep.h"

namespace breakeven::study {

// An order of the texts in which every prefix has nearly the lengths of the whole: by rank in
// length, spread evenly at every scale (van der Corput). Sizes cut from it are nested and
// length-matched. `lengths`: tokens of each text, as cut.
std::vector<std::size_t> length_matched_order(std::span<const std::uint32_t> lengths);

// Eight or more sizes from `smallest` to `largest`, spread evenly on a logarithmic scale, multiples
// of `multiple`. Fewer when there are not as many multiples.
std::vector<std::uint64_t> spread_sizes(std::uint64_t smallest, std::uint64_t largest,
                                        std::uint64_t multiple, std::size_t count = 8);

// The answer from the points' medians. The log-log slope's interval must lie within 1 ±
// limit("scale/log_log_slope") for linear, outside for not linear; else it cannot be told. Fits
// with weights 1 / y², because the error of a time grows with it.
void fit_scaling(record::Scaling& scaling);

struct ScaleInput {
  Input base;  // texts in length_matched_order; the first `timed` are judged; cells are ignored
  std::vector<record::Cell> cells;    // serial, one a configuration and batch
  std::vector<std::uint64_t> sizes;   // ascending; the last is at most texts.size()
  std::vector<std::uint32_t> tokens;  // of each text, as cut at max_length
  std::size_t min_rounds = 3, max_rounds = 100;
};

// One record of kind "scaling" a cell. Every round visits all sizes in random order; time_s is
// shared by the cells. Errors: as run_sweep.
Result<Outcome> run_scale(const ScaleInput& input, const Tools& tools);

}  // namespace breakeven::study
