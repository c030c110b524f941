// What a paced record says about a limit on the p99.
#pragma once

#include <cstdint>

#include "record/record.h"

namespace breakeven::measure {

// In this order: a rate of several windows is as good as the worst of those that tell anything.
enum class LimitKept : std::uint8_t { too_few, kept, cannot_tell, missed };

// Too few: its requests carry no p99, however quick they were. Kept: the whole interval of its p99
// lies within the limit. Missed: it is at its limit (saturated), or more than 1 %
// of the requests surely took longer (the interval of some percentile lies above the limit).
LimitKept p99_within(const record::Record& record, double limit_s);

}  // namespace breakeven::measure
