#include "report/format.h"

#include <fmt/format.h>

#include "base/units.h"

namespace breakeven::report {
namespace {

std::string bracket(double low, double high) {
  return fmt::format(" [{}, {}]", three_digits(low), three_digits(high));
}

// Of "4.2 ms".
std::string unit_of(const std::string& text) {
  return text.substr(text.find(' ') + 1);
}

double scale_of(const std::string& unit) {
  return unit == "min" ? 1.0 / 60 : unit == "s" ? 1 : unit == "ms" ? 1e3 : unit == "us" ? 1e6 : 1e9;
}

}  // namespace

std::string seconds_with_interval(const record::Estimate& estimate) {
  std::string text = format_seconds(estimate.value);
  if (!estimate.interval) return text;
  const double scale = scale_of(unit_of(text));
  return text + bracket(estimate.interval->low * scale, estimate.interval->high * scale);
}

std::string range_text(double low, double high) {
  const std::string from = three_digits(low);
  const std::string to = three_digits(high);
  return from == to ? from : from + "-" + to;
}

std::string seconds_range(const record::Estimate& estimate) {
  const std::string text = format_seconds(estimate.value);
  if (!estimate.interval) return text + " ?";
  const double scale = scale_of(unit_of(text));
  return range_text(estimate.interval->low * scale, estimate.interval->high * scale) + " " +
         unit_of(text);
}

std::string rate_range(const record::Estimate& estimate) {
  return estimate.interval ? range_text(estimate.interval->low, estimate.interval->high)
                           : three_digits(estimate.value) + " ?";
}

std::string rate_with_interval(const record::Estimate& estimate) {
  const std::string text = three_digits(estimate.value);
  return estimate.interval ? text + bracket(estimate.interval->low, estimate.interval->high) : text;
}

std::string ratio_with_interval(const record::Estimate& estimate) {
  if (!estimate.interval) return "?";
  return times(estimate.value) + bracket(estimate.interval->low, estimate.interval->high);
}

double total_s(const record::Stages& stages) {
  return stages.tokenize_s + stages.pack_s + stages.upload_s + stages.compute_s +
         stages.download_s + stages.decode_s;
}

std::string percent_with_interval(double share, const record::Interval& interval) {
  return percent(share) + bracket(interval.low * 100, interval.high * 100);
}

}  // namespace breakeven::report
