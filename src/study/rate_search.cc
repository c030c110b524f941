#include "study/rate_search.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "study/plan.h"

namespace breakeven::study {
namespace {

using measure::LimitKept;

constexpr double kNearEnough = 1.05;
constexpr int kTimes = 3;             // the answer is tried, with seeds of its own each time
constexpr double kLowest = 1.0 / 64;  // of the first rate
constexpr double kHighest = 1 << 20;

}  // namespace

std::optional<double> RateSearch::next() const {
  const auto first_that = [&](auto... seen) {
    return std::find_if(rates_.begin(), rates_.end(),
                        [&](const auto& rate) { return ((rate.second.worst == seen) || ...); });
  };
  const auto between = [&](auto above) -> std::optional<double> {
    const double below = std::prev(above)->first;
    if (above->first <= kNearEnough * below) return std::nullopt;
    return std::sqrt(below * above->first);
  };
  if (rates_.empty()) return first_per_s_;
  const auto missed = first_that(LimitKept::missed);
  if (missed == rates_.end()) {
    const double twice = 2 * rates_.rbegin()->first;
    return twice > kHighest * first_per_s_ ? std::nullopt : std::optional(twice);
  }
  // What cannot be told is no answer; a longer window may tell it another time.
  const auto not_kept = first_that(LimitKept::missed, LimitKept::cannot_tell);
  if (not_kept == rates_.begin()) {
    const double half = not_kept->first / 2;
    return half < kLowest * first_per_s_ ? std::nullopt : std::optional(half);
  }
  if (const auto middle = between(not_kept)) return middle;
  const auto& [kept, seen] = *std::prev(not_kept);
  if (seen.times < kTimes) return kept;
  return between(missed);
}

std::uint64_t RateSearch::tell_all(std::span<const record::Record> records,
                                   const record::Cell& asked, double p99_limit_s) {
  std::uint64_t told = 0;
  for (const record::Record& record : records) {
    if (!answers(record.cell, asked)) continue;
    tell(record.cell.rate_per_s, measure::p99_within(record, p99_limit_s));
    ++told;
  }
  return told;
}

void RateSearch::tell(double rate_per_s, LimitKept seen) {
  BREAKEVEN_CHECK(rate_per_s > 0, "rate={}", rate_per_s);
  if (rates_.empty()) first_per_s_ = rate_per_s;  // an earlier run began with another guess
  Seen& rate = rates_[rate_per_s];
  ++rate.times;
  rate.worst = std::max(rate.worst, seen);
}

}  // namespace breakeven::study
