#include "study/rate_search.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "measure/paced.h"
#include "measure/paced_statistics.h"
#include "measure/statistics.h"
#include "study/plan.h"

namespace breakeven::study {
namespace {

using measure::LimitKept;

constexpr double kNearEnough = 1.05;
constexpr int kTimes = 3;             // the answer is tried, with seeds of its own each time
constexpr int kTooFew = 2;            // the second long window at a rate is twice as long
constexpr double kLowest = 1.0 / 64;  // of the first rate
constexpr double kHighest = 1 << 20;
constexpr double kCounted = 1 - measure::kPacedWarmUpShare;

bool fits(const RateSearch::Try& next, double left_s) {
  return (1 + measure::kDrainShare) * next.window_s() <= left_s;
}

}  // namespace

bool RateSearch::Seen::not_kept() const {
  return worst == LimitKept::missed || worst == LimitKept::cannot_tell || too_few >= kTooFew;
}

// What the machine can do, as far as it is known.
double RateSearch::most_per_s() const {
  if (at_limit_per_s_ > 0) return at_limit_per_s_;
  return std::max(4 * first_per_s_, 1.2 * kept_up_per_s_);
}

// How many requests are played so that those counted carry a percentile nearly always: twice those
// that it needs, by what requests may be worth at most under that load.
double RateSearch::played_for(double percentile, double rate_per_s) const {
  constexpr double kMargin = 2;
  const measure::ServerLoad load{rate_per_s / most_per_s(), measure::kUsualSpread};
  return kMargin / kCounted * static_cast<double>(measure::samples_needed(percentile)) *
         load.requests_an_independent();
}

// Long enough to see that a queue grows, or that half of the requests take too long.
RateSearch::Try RateSearch::brief(double rate_per_s) const {
  constexpr double kRequests = 150;
  constexpr double kWindow_s = 1;
  double requests = std::max(kRequests, kWindow_s * rate_per_s);
  if (rate_per_s < most_per_s()) requests = std::max(requests, played_for(0.5, rate_per_s));
  return {rate_per_s,
          static_cast<std::size_t>(std::min(requests, static_cast<double>(measure::kMostAnswers)))};
}

std::optional<RateSearch::Try> RateSearch::proof(double rate_per_s) const {
  double requests = played_for(0.99, rate_per_s);
  if (requests * kCounted > static_cast<double>(measure::kMostAnswers)) return std::nullopt;
  const auto seen = rates_.find(rate_per_s);
  if (seen != rates_.end() && seen->second.too_few > 0) requests *= 2;
  return Try{rate_per_s, static_cast<std::size_t>(requests)};
}

// Until one misses the limit and one does not.
std::optional<RateSearch::Try> RateSearch::higher_or_lower() const {
  if (rates_.empty()) return brief(first_per_s_);
  const auto missed = [](const auto& rate) { return rate.second.worst == LimitKept::missed; };
  if (std::none_of(rates_.begin(), rates_.end(), missed)) {
    const double twice = 2 * rates_.rbegin()->first;
    if (twice <= kHighest * first_per_s_) return brief(twice);
  } else if (missed(*rates_.begin())) {
    const double half = rates_.begin()->first / 2;
    if (half >= kLowest * first_per_s_) return brief(half);
  }
  return std::nullopt;
}

// A long try at the middle between `low`, which keeps the limit (0: none is known), and `high`, or
// below it where that one takes too long.
std::optional<RateSearch::Try> RateSearch::prove(double low, double high, double left_s) const {
  while (high > kNearEnough * std::max(low, kLowest * first_per_s_)) {
    high = low > 0 ? std::sqrt(low * high) : high / 2;
    if (const auto next = proof(high); next && fits(*next, left_s)) return next;
  }
  return std::nullopt;
}

// A try between the lowest rate that misses the limit and the next below of which more is known
// than a short try tells.
std::optional<RateSearch::Try> RateSearch::miss(double left_s) const {
  double below = 0;
  for (const auto& [rate, seen] : rates_) {
    if (seen.worst == LimitKept::missed) {
      if (below == 0 || rate <= kNearEnough * below) return std::nullopt;
      const double middle = std::sqrt(below * rate);
      const auto next = proof(middle);
      if (next && fits(*next, left_s)) return next;
      const Try short_one = brief(middle);
      const bool is_new = rates_.count(middle) == 0;
      return is_new && fits(short_one, left_s) ? std::optional(short_one) : std::nullopt;
    }
    if (seen.worst != LimitKept::too_few || seen.too_few > 0 || !proof(rate)) below = rate;
  }
  return std::nullopt;
}

std::optional<RateSearch::Try> RateSearch::next(double left_s) const {
  const auto if_it_fits = [left_s](const Try& next) {
    return fits(next, left_s) ? std::optional(next) : std::nullopt;
  };
  if (const auto further = higher_or_lower()) return if_it_fits(*further);
  const auto above = std::find_if(rates_.begin(), rates_.end(),
                                  [](const auto& rate) { return rate.second.not_kept(); });
  auto kept = rates_.end();
  for (auto rate = rates_.begin(); rate != above; ++rate) {
    if (rate->second.worst == LimitKept::kept) kept = rate;
  }
  double high = above != rates_.end() ? above->first : 2 * rates_.rbegin()->first;
  if (at_limit_per_s_ > 0) high = std::min(high, at_limit_per_s_);
  if (above != rates_.end() || kept == rates_.end()) {
    if (const auto next = prove(kept != rates_.end() ? kept->first : 0, high, left_s)) return next;
  }
  if (kept != rates_.end() && kept->second.kept < kTimes) {
    if (const auto next = proof(kept->first); next && fits(*next, left_s)) return next;
  }
  return miss(left_s);
}

std::uint64_t RateSearch::tell_all(std::span<const record::Record> records,
                                   const record::Cell& asked, double p99_limit_s) {
  std::uint64_t told = 0;
  for (const record::Record& record : records) {
    if (!answers(record.cell, asked)) continue;
    tell(record, p99_limit_s);
    ++told;
  }
  return told;
}

void RateSearch::tell(const record::Record& record, double p99_limit_s) {
  Told told{record.cell.rate_per_s, measure::p99_within(record, p99_limit_s), 0, 0};
  if (record.paced) {
    told.requests =
        static_cast<std::size_t>(static_cast<double>(record.paced->requests) / kCounted);
    if (record.paced->saturated) told.most_per_s = record.reviews_per_s.value;
  }
  tell(told);
}

void RateSearch::tell(const Told& told) {
  BREAKEVEN_CHECK(told.rate_per_s > 0, "rate={}", told.rate_per_s);
  if (rates_.empty()) first_per_s_ = told.rate_per_s;  // an earlier run began with another guess
  if (told.most_per_s > 0) {
    at_limit_per_s_ = std::max(at_limit_per_s_, told.most_per_s);
  } else {
    kept_up_per_s_ = std::max(kept_up_per_s_, told.rate_per_s);
  }
  // Half of them: a window may end early with enough answers, and what is known of the load
  // changes.
  const auto long_one = proof(told.rate_per_s);
  const bool is_long =
      long_one && told.requests >= std::min(long_one->requests, measure::kEnoughAnswers) / 2;
  Seen& seen = rates_[told.rate_per_s];
  seen.worst = std::max(seen.worst, told.seen);
  seen.kept += told.seen == LimitKept::kept ? 1 : 0;
  seen.too_few += told.seen == LimitKept::too_few && is_long ? 1 : 0;
}

}  // namespace breakeven::study
