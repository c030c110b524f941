// What a record notes, and what makes it INVALID: one table, mirrored in docs/measuring.md (a test
// compares). How sure a number is stands in its interval, never here.
#pragma once

#include <optional>
#include <string_view>

#include "record/record.h"

namespace breakeven::measure {

struct Threshold {
  std::string_view code;
  double noted;    // above it the record says so
  double invalid;  // above it the record decides nothing
  std::string_view meaning;
};

inline constexpr double kNever = 1e300;

inline constexpr Threshold kThresholds[] = {
    {"steal", 0.01, 0.10, "share of the usable CPUs' time that the hypervisor took"},
    {"foreign-cpu", 0.03, 0.25, "share of the usable CPUs' time that other processes used"},
    {"throttled", 0, kNever, "thermal throttling events while measuring (GPU: looks that saw one)"},
    {"repeat", 0, kNever, "labels that changed from one timed pass to another"},
    {"stalls", 0, kNever, "samples that took over three times the usual; left out of the rates"},
    {"schedule-late", 0.01, 0.10, "paced: share of requests that we sent late by over 1 ms"},
    {"unsent", 0, 0.01, "HTTP: share of requests that this program had no descriptor or port for"},
    {"http-errors", 0, kNever,
     "HTTP: share of requests that failed, but for refused and late ones"},
    {"null-late", 0.2, 1, "HTTP: p99 of the server's null reply, as a share of the limit"},
    {"null-rate", 0.2, kNever, "HTTP: rate, as a share of the null replies that the server gives"},
    {"not-calibrated", 0, kNever, "HTTP: the server has no null reply to measure the way there by"},
    {"foreign-gpu", 0, kNever, "other processes on the GPU"},
    {"ids", 0, kNever,
     "another runtime: share of texts whose token ids are not those of tokenizer.json"},
    {"parity", kNever, 0, "limits of docs/parity.md that the outputs break"},
    {"no-samples", kNever, 0, "nothing was timed"},
    {"cold", kNever, 0, "no whole pass went before the timed ones: shapes were seen first there"},
    {"failed", kNever, 0, "the cell ended with an error"},
};

// The row `code`; a code that is not there is our bug and aborts.
const Threshold& threshold(std::string_view code);

// Adds a reason when `value` is above the row's numbers. `message` is a sentence without a full
// stop; the value and the threshold are added to it.
void check_threshold(record::Record& record, std::string_view code, double value,
                     std::string_view message);

// The first reason that makes the record INVALID; null where it counts.
const record::Reason* why_invalid(const record::Record& record);
inline bool is_invalid(const record::Record& record) {
  return why_invalid(record) != nullptr;
}

// Rows of what paced mode alone has.
void check_lateness(record::Record& record);
// The row of outputs that left the limits.
void check_parity(record::Record& record);

// All rows that follow from what the record holds: conditions, warm-up, parity.
struct Samples;
void check_thresholds(const Samples& samples, record::Record& record);

}  // namespace breakeven::measure
