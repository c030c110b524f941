// What a paced record says about a limit on the p99.
#pragma once

#include <cstdint>

#include "record/record.h"

namespace breakeven::measure {

enum class LimitKept : std::uint8_t { kept, cannot_tell, missed };

// Kept: the whole interval of its p99 lies within the limit; no interval, no
// answer, however quick its requests were. Missed: it is at its limit (saturated), or more than 1 %
// of the requests surely took longer (the interval of some percentile lies above the limit).
LimitKept p99_within(const record::Record& record, double limit_s);

}  // namespace breakeven::measure
