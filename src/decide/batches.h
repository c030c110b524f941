// From which batch the GPU is cheaper or faster.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "decide/candidate.h"

namespace breakeven::decide {

// One batch size that both sides measured, each at its best configuration for it.
struct BatchRow {
  std::uint64_t batch = 0;
  std::size_t cpu = 0, gpu = 0;                // candidates
  record::Estimate throughput_ratio;           // GPU ÷ CPU
  std::optional<record::Estimate> time_ratio;  // CPU's batch time ÷ GPU's: above 1 = GPU faster
  record::Estimate cost_ratio;  // GPU's cost a text at full use ÷ the CPU's at its best batch
  Leads faster = Leads::cannot_tell, cheaper = Leads::cannot_tell;
};

struct BatchBreakEven {
  std::vector<BatchRow> rows;  // by batch
  // The smallest measured batch from which it holds in every row; absent = in none of the last.
  std::optional<std::uint64_t> faster_from, cheaper_from;
};
// The candidate in `take_part` (indices) of a side whose rate is surely highest, of one batch or
// (0) of all.
std::optional<std::size_t> best_rate(const std::vector<Candidate>& candidates,
                                     const std::vector<std::size_t>& take_part, Side side,
                                     std::uint64_t batch);

// Over the candidates in `take_part` (indices) that have a rate.
BatchBreakEven batch_break_even(const std::vector<Candidate>& candidates,
                                const std::vector<std::size_t>& take_part);

}  // namespace breakeven::decide
