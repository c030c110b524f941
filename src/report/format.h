// Numbers as the tables show them: three significant digits, with units, never 0.00.
#pragma once

#include <string>

#include "record/record.h"

namespace breakeven::report {

// "112 ms [110, 115]": value and interval in one unit; "112 ms" without an interval.
std::string seconds_with_interval(const record::Estimate& estimate);
// "8.91 [8.80, 9.02]".
std::string rate_with_interval(const record::Estimate& estimate);
// For the first screen, where no number stands without its range. "16,200-16,500"; "16,200" when
// both ends read so.
std::string range_text(double low, double high);
// "4.11-4.39 ms", "4.2 ms ?" without an interval.
std::string seconds_range(const record::Estimate& estimate);
// "308-812", "308 ?" without an interval.
std::string rate_range(const record::Estimate& estimate);
// "2.13x [1.60, 2.70]", "?" without an interval.
std::string ratio_with_interval(const record::Estimate& estimate);
// Of a batch: all its stages.
double total_s(const record::Stages& stages);
// "91.2 % [88.0, 94.1]" for a share and its interval.
std::string percent_with_interval(double share, const record::Interval& interval);

}  // namespace breakeven::report
