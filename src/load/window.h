// What a window of requests says, as the fields of a record. Pure.
#pragma once

#include "load/player.h"
#include "load/schedule.h"
#include "record/record.h"

namespace breakeven::load {

// What a window was played with.
struct Window {
  double rate_per_s = 0;
  double timeout_s = 0;
  double p99_limit_s = 0;  // 0 = none
  double most_per_s = 0;   // that the server has answered so far: how busy it is at this rate
};

struct Windowed {
  record::Record record;
  bool interrupted = false;
};

// Whether what waits grows by more than chance could make it grow at the very limit: three standard
// deviations of a random walk with a step for each counted request. It is compared over the first
// and the last third of the window, so that a pause near its end is none.
bool backlog_grows(const Played& played, double counted_from_s, double window_end_s,
                   std::size_t counted);

// Fills samples_s, sample_positions, sample_start_s, schedule_late_s, latency_s, latency_note,
// reviews_per_s, tokens_per_s, paced, and what http has of this window; adds reasons.
// record.cell, texts and http's timings must be set. A request that failed counts as the time-out.
// Saturated: the backlog grows, or over a tenth was refused or late; then no percentile is given.
void summarise(const Window& window, const Schedule& schedule, const Played& played,
               record::Record& record);

}  // namespace breakeven::load
