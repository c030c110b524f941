#include "load/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/units.h"
#include "measure/paced.h"
#include "study/rate_search.h"

namespace breakeven::load {
namespace {

class Study {
 public:
  Study(const StudyOptions& options, const StudyTools& tools)
      : options_(options), tools_(tools), start_s_(tools.clock->now_s()) {}

  Result<StudyOutcome> run() {
    BREAKEVEN_TRY_VOID(options_.p99_limit_s > 0 ? search() : play_rates());
    return std::move(outcome_);
  }

 private:
  bool stopped() const {
    return outcome_.interrupted ||
           (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed));
  }
  double elapsed_s() const { return tools_.clock->now_s() - start_s_; }
  Result<void> play(double rate_per_s, std::size_t requests);
  Result<void> search();
  Result<void> play_rates();

  const StudyOptions& options_;
  const StudyTools& tools_;
  double start_s_;
  StudyOutcome outcome_;
  double most_per_s_ = options_.most_per_s;
};

Result<void> Study::play(double rate_per_s, std::size_t requests) {
  if (tools_.progress) {
    tools_.progress(fmt::format("{}/s for {}", three_digits(rate_per_s),
                                format_seconds(static_cast<double>(requests) / rate_per_s)),
                    elapsed_s() / options_.time_s);
  }
  const std::uint64_t seed = Random(options_.seed, {outcome_.records.size()}).next();
  const Schedule schedule = make_schedule(options_.arrivals, rate_per_s, requests,
                                          options_.text_count, seed, options_.trace);
  BREAKEVEN_TRY(Windowed window, tools_.play(schedule, rate_per_s, most_per_s_));
  if (window.interrupted) {
    outcome_.interrupted = true;
    return {};
  }
  const record::Record& record = window.record;
  most_per_s_ = std::max(most_per_s_, record.reviews_per_s.value);
  outcome_.records.push_back(record);
  return tools_.keep ? tools_.keep(record) : Result<void>();
}

Result<void> Study::search() {
  study::RateSearch search(options_.most_per_s / 4);
  while (!stopped()) {
    auto next = search.next(options_.time_s - elapsed_s());
    if (!next && outcome_.records.empty()) next = search.next();
    if (!next) {
      if (const auto wanted = search.next()) {
        outcome_.notes.push_back(fmt::format(
            "the search ended with its time; the next window ({}/s) takes {:.0f} s: a longer "
            "--time narrows the range",
            three_digits(wanted->rate_per_s), std::ceil(wanted->window_s())));
      }
      return {};
    }
    const std::size_t before = outcome_.records.size();
    BREAKEVEN_TRY_VOID(play(next->rate_per_s, next->requests));
    if (outcome_.records.size() > before) {
      search.tell(outcome_.records.back(), options_.p99_limit_s);
    }
  }
  outcome_.interrupted = true;
  return {};
}

Result<void> Study::play_rates() {
  for (std::size_t i = 0; i < options_.rates.size(); ++i) {
    if (stopped()) {
      outcome_.interrupted = true;
      return {};
    }
    const double left_s = std::max(0.0, options_.time_s - elapsed_s());
    const double window_s =
        left_s / static_cast<double>(options_.rates.size() - i) / (1 + measure::kDrainShare);
    const double requests = std::floor(options_.rates[i] * window_s);
    BREAKEVEN_TRY_VOID(
        play(options_.rates[i], static_cast<std::size_t>(std::clamp(
                                    requests, 1.0, static_cast<double>(measure::kMostAnswers)))));
  }
  return {};
}

}  // namespace

Result<StudyOutcome> run_study(const StudyOptions& options, const StudyTools& tools) {
  return Study(options, tools).run();
}

}  // namespace breakeven::load
