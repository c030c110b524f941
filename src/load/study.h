// Which windows a load study plays: given rates, or the search for the highest rate that keeps a
// limit on the p99 (study::RateSearch). Pure but for what plays a window.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/schedule.h"
#include "load/window.h"
#include "record/record.h"

namespace breakeven::load {

struct StudyOptions {
  Arrivals arrivals = Arrivals::poisson;
  Trace trace{};
  std::uint64_t seed = 1;
  std::size_t text_count = 1;
  double time_s = 180;
  double p99_limit_s = 0;       // > 0: the highest rate that keeps it is searched
  std::vector<double> rates{};  // else these are played
  double most_per_s = 0;        // that the server answered in the warm-up, > 0
  const std::atomic<bool>* stop = nullptr;
};

struct StudyTools {
  // most_per_s: the most that is known by now.
  std::function<Result<Windowed>(const Schedule&, double rate_per_s, double most_per_s)> play;
  std::function<Result<void>(const record::Record&)> keep;
  // What runs, and the share of the time that is over.
  std::function<void(const std::string& what, double done)> progress;
  const Clock* clock = &monotonic_clock();
};

struct StudyOutcome {
  std::vector<record::Record> records;
  std::vector<std::string> notes;
  bool interrupted = false;
};
// Errors: those of tools; what was kept before stays kept.
Result<StudyOutcome> run_study(const StudyOptions& options, const StudyTools& tools);

}  // namespace breakeven::load
