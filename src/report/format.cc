#include "report/format.h"

#include <fmt/format.h>

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

std::string percent_with_interval(double share, const record::Interval& interval) {
  return percent(share) + bracket(interval.low * 100, interval.high * 100);
}

}  // namespace breakeven::report
