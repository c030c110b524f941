#include "measure/thresholds.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/units.h"
#include "measure/parity.h"
#include "measure/rounds.h"
#include "measure/sampler.h"

namespace breakeven::measure {
namespace {

using record::Severity;

void check_conditions(const record::Conditions& seen, record::Record& record) {
  check_threshold(record, "steal", seen.steal_share, "the hypervisor took CPU time away");
  check_threshold(record, "foreign-cpu", seen.foreign_cpu_share, "other processes used the CPUs");
  if (seen.throttle_events) {
    check_threshold(record, "throttled", static_cast<double>(*seen.throttle_events),
                    "the CPU throttled because of heat");
  }
}

}  // namespace

const Threshold& threshold(std::string_view code) {
  for (const Threshold& row : kThresholds) {
    if (row.code == code) return row;
  }
  BREAKEVEN_CHECK(false, "no threshold {}", code);
  return kThresholds[0];
}

void check_threshold(record::Record& record, std::string_view code, double value,
                     std::string_view message) {
  const Threshold& row = threshold(code);
  const bool invalid = value > row.invalid;
  if (!invalid && !(value > row.noted)) return;
  const double allowed = invalid ? row.invalid : row.noted;
  record.reasons.push_back({std::string(code),
                            fmt::format("{}: {} (allowed: {})", message, three_digits(value),
                                        allowed == 0 ? "0" : three_digits(allowed)),
                            value, allowed, invalid ? Severity::invalid : Severity::note});
}

const record::Reason* why_invalid(const record::Record& record) {
  const auto why = std::find_if(
      record.reasons.begin(), record.reasons.end(),
      [](const record::Reason& reason) { return reason.severity == Severity::invalid; });
  return why == record.reasons.end() ? nullptr : &*why;
}

void check_lateness(record::Record& record) {
  if (record.schedule_late_s.empty()) return;
  constexpr double kLateSeconds = 0.001;
  const auto late = std::count_if(record.schedule_late_s.begin(), record.schedule_late_s.end(),
                                  [](double seconds) { return seconds > kLateSeconds; });
  check_threshold(record, "schedule-late",
                  static_cast<double>(late) / static_cast<double>(record.schedule_late_s.size()),
                  "our own scheduler sent requests over 1 ms late");
}

void check_parity(record::Record& record) {
  if (!breaks_parity(record)) return;
  check_threshold(
      record, "parity",
      static_cast<double>(std::max<std::size_t>(1, record.parity->limits_broken.size())),
      fmt::format("the outputs are not the judge's within {}",
                  fmt::join(record.parity->limits_broken, ", ")));
}

void check_thresholds(const Samples& samples, record::Record& record) {
  if (samples.seconds.empty() && record.samples_s.empty()) {
    check_threshold(record, "no-samples", 1, "nothing was timed");
  }
  check_threshold(record, "cold", samples.warmup_passes == 0 ? 1 : 0,
                  "no whole warm-up pass went before the timed ones");
  check_threshold(record, "repeat", static_cast<double>(samples.repeat_flips),
                  "labels changed from one timed pass to another");
  const Stalls stalls = stalls_of(record);
  check_threshold(record, "stalls", static_cast<double>(stalls.count),
                  fmt::format("something held the machine up for {}; samples left out of the rates",
                              format_seconds(stalls.seconds)));
  if (record.conditions) check_conditions(*record.conditions, record);
  check_lateness(record);
  if (record.gpu) {
    check_threshold(record, "throttled", static_cast<double>(record.gpu->throttled_looks),
                    fmt::format("the GPU slowed its clocks down ({}); looks that saw it, of {}",
                                fmt::join(record.gpu->throttle_reasons, ", "), record.gpu->looks));
    check_threshold(record, "foreign-gpu", static_cast<double>(record.gpu->foreign_processes),
                    "other processes ran on the GPU");
  }
  check_parity(record);
}

}  // namespace breakeven::measure
