// What a paced record says about a limit on the p99.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "record/record.h"

namespace breakeven::measure {

// In this order: a rate of several windows is as good as the worst of those that tell anything.
enum class LimitKept : std::uint8_t { too_few, kept, cannot_tell, missed };

// Too few: its requests carry no p99, however quick they were. Kept: the whole interval of its p99
// lies within the limit. Missed: it is at its limit (saturated), or more than 1 %
// of the requests surely took longer (the interval of some percentile lies above the limit).
LimitKept p99_within(const record::Record& record, double limit_s);

// The answer of a search: the highest rate that every window kept, below the lowest that one
// missed.
struct Proven {
  double kept_per_s = 0;    // 0 = none
  double missed_per_s = 0;  // 0 = none
  int times = 0;            // windows that kept it
};
// Of paced records of one configuration, in any order.
Proven proven_rate(std::span<const record::Record* const> windows, double limit_s);
Proven proven_rate(const std::vector<record::Record>& windows, double limit_s);

}  // namespace breakeven::measure
