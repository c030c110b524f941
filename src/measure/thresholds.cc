#include "measure/thresholds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/units.h"
#include "measure/sampler.h"

namespace breakeven::measure {
namespace {

using record::Verdict;

void add_reason(record::Record& record, const Threshold& row, double value, double allowed,
                Verdict severity, std::string message) {
  record.reasons.push_back({std::string(row.code), std::move(message), value, allowed, severity});
  record.verdict = std::max(record.verdict, severity);
}

void judge_conditions(const record::Conditions& seen, record::Record& record) {
  judge(record, "steal", seen.steal_share, "the hypervisor took CPU time away");
  judge(record, "foreign-cpu", seen.foreign_cpu_share, "other processes used the CPUs");
  if (seen.throttle_events) {
    judge(record, "throttled", static_cast<double>(*seen.throttle_events),
          "the CPU throttled because of heat");
  }
}

void judge_steadiness(const Samples& samples, record::Record& record) {
  if (samples.steady || samples.interrupted) return;
  const Threshold& row = threshold("not-steady");
  const double seen = std::max(std::abs(samples.last_steadiness.level_shift),
                               std::abs(samples.last_steadiness.trend));
  add_reason(
      record, row, seen, row.noisy, Verdict::noisy,
      seen > row.noisy
          ? fmt::format("the warm-up ended before times were steady: they still moved by {} %",
                        three_digits(seen * 100))
          : "the warm-up's time was over before enough passes had shown steady times");
}

void judge_lateness(record::Record& record) {
  if (record.schedule_late_s.empty()) return;
  constexpr double kLateSeconds = 0.001;
  const auto late = std::count_if(record.schedule_late_s.begin(), record.schedule_late_s.end(),
                                  [](double seconds) { return seconds > kLateSeconds; });
  judge(record, "schedule-late",
        static_cast<double>(late) / static_cast<double>(record.schedule_late_s.size()),
        "our own scheduler sent requests over 1 ms late");
}

}  // namespace

const Threshold& threshold(std::string_view code) {
  for (const Threshold& row : kThresholds) {
    if (row.code == code) return row;
  }
  BREAKEVEN_CHECK(false, "no threshold {}", code);
  return kThresholds[0];
}

void judge(record::Record& record, std::string_view code, double value, std::string_view message) {
  const Threshold& row = threshold(code);
  const bool invalid = value > row.invalid;
  if (!invalid && !(value > row.noisy)) return;
  const double allowed = invalid ? row.invalid : row.noisy;
  add_reason(record, row, value, allowed, invalid ? Verdict::invalid : Verdict::noisy,
             fmt::format("{}: {} (allowed: {})", message, three_digits(value),
                         allowed == 0 ? "0" : three_digits(allowed)));
}

void judge_all(const Samples& samples, record::Record& record) {
  if (samples.seconds.empty() && record.samples_s.empty()) {
    judge(record, "no-samples", 1, "nothing was timed");
  }
  if (samples.interrupted) judge(record, "interrupted", 1, "the cell was interrupted");
  judge_steadiness(samples, record);
  if (samples.passes() < 3 && record.cell.mode != "paced") {
    judge(record, "few-passes", static_cast<double>(3 - samples.passes()),
          fmt::format("only {} complete passes fitted into the time; noise cannot be told",
                      samples.passes()));
  }
  if (record.spread) {
    judge(record, "spread", *record.spread, "identical passes took different times");
  }
  judge(record, "repeat", static_cast<double>(samples.repeat_flips),
        "labels changed from one timed pass to another");
  if (record.conditions) judge_conditions(*record.conditions, record);
  judge_lateness(record);
  if (record.gpu) {
    judge(record, "throttled", static_cast<double>(record.gpu->throttled_looks),
          fmt::format("the GPU slowed its clocks down ({}); looks that saw it, of {}",
                      fmt::join(record.gpu->throttle_reasons, ", "), record.gpu->looks));
    judge(record, "foreign-gpu", static_cast<double>(record.gpu->foreign_processes),
          "other processes ran on the GPU");
  }
  if (record.parity && record.parity->outcome == "failed") {
    judge(record, "parity",
          static_cast<double>(std::max<std::size_t>(1, record.parity->limits_broken.size())),
          fmt::format("the outputs are not the judge's within {}",
                      fmt::join(record.parity->limits_broken, ", ")));
  }
}

}  // namespace breakeven::measure
