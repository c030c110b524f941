#include "load/schedule.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <string_view>

#include "base/check.h"
#include "base/files.h"
#include "base/numbers.h"
#include "base/random.h"
#include "measure/paced.h"

namespace breakeven::load {
namespace {

constexpr std::uint64_t kTexts = 2;  // the moments' stream is measure's

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return line;
}

std::vector<double> trace_times(const Trace& trace, double rate_per_s, std::size_t count) {
  const double stretch = trace.rate_per_s() / rate_per_s;
  std::vector<double> due;
  double at_s = 0;
  for (std::size_t i = 0; i < count; ++i) {
    due.push_back(at_s);
    at_s += stretch * trace.gap_s[i % trace.requests()];
  }
  return due;
}

}  // namespace

double Trace::rate_per_s() const {
  return static_cast<double>(gap_s.size()) / std::accumulate(gap_s.begin(), gap_s.end(), 0.0);
}

Result<Trace> parse_trace(const std::string& content, const std::string& name) {
  const auto no_trace = [&](std::size_t line, const std::string& why) {
    return fail("load/trace", fmt::format("{}: line {}: {}", name, line, why),
                "write a number of seconds a line, ascending: when each request came");
  };
  Trace trace;
  double before_s = -1;
  std::size_t number = 0, requests = 0;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = std::min(content.find('\n', at), content.size());
    const std::string_view line = trimmed(std::string_view(content).substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const auto value = parse_number<double>(line);
    if (!value || !std::isfinite(*value) || *value < 0) {
      return no_trace(number, fmt::format("'{}' is no time", line.substr(0, 40)));
    }
    if (requests > 0 && *value < before_s) {
      return no_trace(number, fmt::format("{} comes after {}", *value, before_s));
    }
    if (requests > 0) trace.gap_s.push_back(*value - before_s);
    before_s = *value;
    ++requests;
  }
  const double length_s = std::accumulate(trace.gap_s.begin(), trace.gap_s.end(), 0.0);
  if (length_s <= 0) return no_trace(number, "fewer than two moments are told");
  trace.gap_s.push_back(length_s / static_cast<double>(trace.gap_s.size()));
  return trace;
}

Result<Trace> read_trace(const std::string& path) {
  BREAKEVEN_TRY(const std::string content, read_file(path));
  return parse_trace(content, path);
}

Schedule make_schedule(Arrivals arrivals, double rate_per_s, std::size_t count,
                       std::size_t text_count, std::uint64_t seed, const Trace& trace) {
  BREAKEVEN_CHECK(rate_per_s > 0 && count > 0 && text_count > 0, "rate={} count={} texts={}",
                  rate_per_s, count, text_count);
  Schedule schedule;
  schedule.seed = seed;
  schedule.window_s = static_cast<double>(count) / rate_per_s;
  if (arrivals == Arrivals::trace) {
    schedule.due_s = trace_times(trace, rate_per_s, count);
    schedule.window_s = std::max(schedule.window_s, schedule.due_s.back());
  } else {
    schedule.due_s = measure::due_times(arrivals, rate_per_s, count, seed);
  }
  Random draw(seed, {kTexts});
  for (std::size_t i = 0; i < count; ++i) {
    schedule.texts.push_back(static_cast<std::uint32_t>(draw.scaled_below(text_count)));
  }
  return schedule;
}

}  // namespace breakeven::load
