// How many whole machines a load takes, what they cost, and from which load the GPU is cheaper.
// Machines are counted from the low end of a rate and a target use: what is planned with must hold
// when the machine is as slow as its interval allows, and a queue needs air. Pure arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "decide/rows.h"
#include "record/record.h"

namespace breakeven::decide {

// An average month: 365.25 days ÷ 12.
inline constexpr double kHoursAMonth = 365.25 * 24 / 12;

// A load is planned for this share of the low end of a machine's rate, unless told otherwise.
inline constexpr double kUtilisation = 0.7;

// Machines or money over the interval of a rate. `high` is what is planned with, at the low end of
// the rate; infinite: nobody knows.
struct Amount {
  double low = 0, high = 0;
  bool sure() const { return low == high; }
};

// Machines of one kind: texts a second of one, its high end infinite when it is open above, and its
// price an hour.
struct MachineKind {
  record::Interval rate;
  double price = 0;
};

// Whole machines for `load_per_s` texts a second, at least one; `utilisation` in (0, 1]. A month of
// them; a million texts.
Amount machines_for(double load_per_s, const MachineKind& kind, double utilisation = kUtilisation);
Amount cost_a_month(const Amount& machines, double price);
// At full planned use of each machine, with no idle time between texts.
Amount cost_a_million(const MachineKind& kind, double utilisation = kUtilisation);

enum class Leads : std::uint8_t { cpu, gpu, cannot_tell };

// Who costs less. Equal costs go to `on_tie`. cannot_tell: the ends of the ranges give different
// answers.
Leads cheaper(const Amount& cpu, const Amount& gpu, Side on_tie);

// A load in texts a second, planned with the low ends of both rates, and over all corners of both
// intervals; absent or infinite = never.
struct Threshold {
  std::optional<double> load;
  double low = 0, high = 0;
};

struct LoadBreakEven {
  bool decided = true;  // false: so alike that it is not decided within kMostSteps machines
  Threshold first;      // the lowest load at which the GPU is cheaper
  Threshold always;     // from here on it always is
};
inline constexpr std::size_t kMostSteps = 100'000;

// Machines are whole, so that cost over load is a staircase and the GPU may be cheaper in pieces
// before it is for good. Both rates > 0, prices >= 0.
LoadBreakEven load_break_even(const MachineKind& cpu, const MachineKind& gpu,
                              double utilisation = kUtilisation);

}  // namespace breakeven::decide
