// From which load and from which batch the GPU is cheaper or faster. Machines are whole, so cost
// over load is a staircase, and one side may be cheaper in pieces before it is for good.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decide/candidate.h"

namespace breakeven::decide {

// Loads in (from, to] texts a second; `to` may be infinite.
struct LoadRange {
  double from = 0, to = 0;
};

struct Staircase {
  double rate = 0;   // texts a second of one machine, > 0
  double price = 0;  // of one machine an hour, >= 0
};

// Where `other` costs less than `base`. Nothing when the two are so alike that it is not decided
// within kMostSteps machines.
std::optional<std::vector<LoadRange>> cheaper_ranges(const Staircase& base, const Staircase& other);
inline constexpr std::size_t kMostSteps = 100'000;

// A load and how sure it is; absent = never.
struct Threshold {
  std::optional<double> load;
  double low = 0, high = 0;  // over the corners of both rates' intervals; high infinite = or never
};

struct LoadBreakEven {
  std::size_t cpu = 0, gpu = 0;    // candidates: the highest rate of each side
  bool decided = true;             // false: too alike
  Threshold first;                 // the lowest load at which the GPU is cheaper
  Threshold always;                // from here on it always is
  std::vector<LoadRange> cheaper;  // at the rates' values
};
// `cpu`, `gpu`: rates with intervals; both rates > 0.
LoadBreakEven load_break_even(const Candidate& cpu, const Candidate& gpu);

enum class Leads : std::uint8_t { cpu, gpu, cannot_tell };

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
// Over the candidates in `take_part` (indices) that have a rate.
BatchBreakEven batch_break_even(const std::vector<Candidate>& candidates,
                                const std::vector<std::size_t>& take_part);

}  // namespace breakeven::decide
