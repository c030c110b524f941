// Quantities with units as people type them after a flag. Strict: the whole text must be one
// decimal number without a sign and one of the named units; anything else
// is refused with the flag, the text and an example.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include "base/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

// All errors: flag/quantity.

// "0.19", "$0.19", "0.19/h" -> dollars (or any one currency) an hour, at least 0.
Result<double> parse_price(const std::string& flag, const std::string& text);
// "40/s", "600/min", "2M/day", "5k/h" -> texts a second, above 0. The unit must be there.
Result<double> parse_load(const std::string& flag, const std::string& text);
// "200", "200/month", "2400/year", "7/day" -> a month, above 0.
Result<double> parse_budget(const std::string& flag, const std::string& text);
// "2GB", "512MiB", "1.5G" -> bytes, above 0. The unit must be there.
Result<double> parse_memory(const std::string& flag, const std::string& text);
// "100ms", "0.2s" -> seconds, above 0. The unit must be there.
Result<double> parse_latency(const std::string& flag, const std::string& text);
// "0ms", "10ms": as parse_latency, but nothing is allowed.
Result<double> parse_wait(const std::string& flag, const std::string& text);
// "0.5", "0.5%" -> share 0.005; 0 to 100.
Result<double> parse_percent(const std::string& flag, const std::string& text);
// "3x", "3" -> 3; at least 1.
Result<double> parse_peak(const std::string& flag, const std::string& text);

// Flags of quantities, each read only when it was given.
struct QuantityFlag {
  const char* name;
  const std::string& text;
  Result<double> (*parse)(const std::string& flag, const std::string& text);
  std::optional<double>& value;
};
Result<void> read_quantities(const CLI::App& command, std::initializer_list<QuantityFlag> flags);

}  // namespace breakeven::cli
