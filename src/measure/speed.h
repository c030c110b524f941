// How fast the machine itself was: a fixed loop to time beside the cells, and what a run's rounds
// tell of how much its speed moved, and why.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "record/record.h"

namespace breakeven::measure {

// Seconds that a fixed piece of arithmetic takes on each of so many threads at once, until the last
// one is done: some milliseconds.
double time_reference_loop(unsigned threads, const Clock& clock = monotonic_clock());

// Of one device in one run.
struct SpeedChange {
  Device device;
  double cells = 1;                 // the slowest round of the median cell ÷ its fastest
  std::optional<double> reference;  // the slowest reference loop ÷ the fastest
  std::string cause;                // "other guests took CPU time (steal: 4.2 %)"
  std::string remedy;               // "repeat on a dedicated machine"
};
// One for each device whose cells were visited in two rounds or more. `records` are of one run.
std::vector<SpeedChange> speed_changes(std::span<const record::Record> records);

}  // namespace breakeven::measure
