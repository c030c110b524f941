// Units at the edge: numbers for people (three significant digits, never 0.00) and what people
// type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven {

// "1.23", "123", "1,230", "0.00123": three significant digits, thousands separated. NaN gives "-".
std::string three_digits(double value);

// "12.3 ms", "1.23 s", "45.6 us" for a time in seconds.
std::string format_seconds(double seconds);

// "268 MB", "1.23 GB" (powers of ten) for a number of bytes.
std::string format_bytes(double bytes);

// "12.3 %", "<0.1 %", "0 %", "100 %".
std::string percent(double share);

// "1.83x".
std::string times(double ratio);

// "1 text", "128 texts", "1,280 texts".
std::string counted(std::uint64_t count, const std::string& noun);

// "90s", "3m", "1.5h", "250ms", "10" (seconds) -> seconds > 0. Errors: units/duration.
Result<double> parse_duration(std::string_view text);

}  // namespace breakeven
