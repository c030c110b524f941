#include "report/format.h"

#include <fmt/format.h>

#include <cmath>

#include "base/units.h"

namespace breakeven::report {
namespace {

std::string bracket(double low, double high) {
  return fmt::format(" [{}, {}]", three_digits(low), three_digits(high));
}

}  // namespace

std::string seconds_with_interval(const record::Estimate& estimate) {
  std::string text = format_seconds(estimate.value);
  if (!estimate.interval) return text;
  const std::string unit = text.substr(text.find(' ') + 1);
  const double scale = unit == "min"  ? 1.0 / 60
                       : unit == "s"  ? 1
                       : unit == "ms" ? 1e3
                       : unit == "us" ? 1e6
                                      : 1e9;
  return text + bracket(estimate.interval->low * scale, estimate.interval->high * scale);
}

std::string rate_with_interval(const record::Estimate& estimate) {
  const std::string text = three_digits(estimate.value);
  return estimate.interval ? text + bracket(estimate.interval->low, estimate.interval->high) : text;
}

std::string percent(double share) {
  if (std::isnan(share)) return "-";
  if (share == 0) return "0 %";
  if (std::abs(share) < 0.001) return share > 0 ? "<0.1 %" : ">-0.1 %";
  if (share < 1 && share >= 0.9995) return ">99.9 %";
  return (share == 1 ? "100" : three_digits(share * 100)) + " %";
}

std::string percent_with_interval(double share, const record::Interval& interval) {
  return percent(share) + bracket(interval.low * 100, interval.high * 100);
}

std::string times(double ratio) {
  return three_digits(ratio) + "x";
}

std::string counted(std::uint64_t count, const std::string& noun) {
  // three_digits() would round: a count is exact.
  std::string digits = std::to_string(count);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace breakeven::report
