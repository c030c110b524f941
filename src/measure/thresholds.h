// When a record is NOISY or INVALID: one table, mirrored in docs/measuring.md (a test compares).
#pragma once

#include <optional>
#include <string_view>

#include "record/record.h"

namespace breakeven::measure {

struct Threshold {
  std::string_view code;
  double noisy;    // above it the record is NOISY; never when it is infinite
  double invalid;  // above it the record is INVALID
  std::string_view meaning;
};

inline constexpr double kNever = 1e300;

inline constexpr Threshold kThresholds[] = {
    {"steal", 0.01, 0.10, "share of the usable CPUs' time that the hypervisor took"},
    {"foreign-cpu", 0.03, 0.25, "share of the usable CPUs' time that other processes used"},
    {"spread", 0.05, 0.50, "relative spread between identical passes"},
    {"not-steady", 0.03, kNever, "shift or trend over the last warm-up passes"},
    {"throttled", 0, kNever, "thermal throttling events while measuring (GPU: looks that saw one)"},
    {"few-passes", 0, kNever, "passes short of three: fewer cannot tell noise"},
    {"repeat", 0, kNever, "labels that changed from one timed pass to another"},
    {"schedule-late", 0.01, 0.10, "paced: share of requests that we sent late by over 1 ms"},
    {"foreign-gpu", 0, kNever, "other processes on the GPU"},
    {"parity", kNever, 0, "limits of docs/parity.md that the outputs break"},
    {"no-samples", kNever, 0, "nothing was timed"},
    {"interrupted", kNever, 0, "ended by Ctrl-C"},
    {"failed", kNever, 0, "the cell ended with an error"},
};

// The row `code`; a code that is not there is our bug and aborts.
const Threshold& threshold(std::string_view code);

// Adds a reason when `value` is above the row's numbers, and raises record.verdict with it.
// `message` is a sentence without a full stop; the value and the threshold are added to it.
void check_threshold(record::Record& record, std::string_view code, double value,
                     std::string_view message);

// All rows that follow from what the record holds: conditions, spread, passes, steadiness, parity.
struct Samples;
void check_thresholds(const Samples& samples, record::Record& record);

}  // namespace breakeven::measure
