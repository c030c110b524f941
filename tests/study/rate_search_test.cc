#include "study/rate_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "measure/paced.h"
#include "study/fake_machine.h"
#include "study/sweep.h"
#include "testing/fake_classifier.h"
#include "testing/md1.h"

namespace breakeven::study {
namespace {

using measure::LimitKept;

struct Found {
  double kept = 0;  // the highest below which all keep it, and the lowest that misses it
  double missed = std::numeric_limits<double>::infinity();
  int tries = 0, tries_of_kept = 0;
};

template <class Machine>
Found search_on(double first, const Machine& machine) {
  RateSearch search(first);
  std::map<double, LimitKept> seen;
  std::map<double, int> times;
  Found found;
  while (const auto rate = search.next()) {
    const LimitKept said = machine(*rate, found.tries);
    search.tell(*rate, said);
    auto& worst = seen.emplace(*rate, said).first->second;
    worst = std::max(worst, said);
    ++times[*rate];
    if (++found.tries > 1000) break;
  }
  bool below = true;
  for (const auto& [rate, said] : seen) {
    below = below && said == LimitKept::kept;
    if (below) found.kept = rate;
    if (said == LimitKept::missed) found.missed = std::min(found.missed, rate);
  }
  found.tries_of_kept = times[found.kept];
  return found;
}

TEST(RateSearch, FindsTheLimitToFivePercentFromAnyBeginning) {
  for (const double limit : {0.7, 13.0, 950.0}) {
    for (const double first : {limit / 30, limit / 4, limit, 3 * limit, 50 * limit}) {
      const Found found = search_on(first, [&](double rate, int) {
        return rate <= limit ? LimitKept::kept : LimitKept::missed;
      });
      EXPECT_LE(found.kept, limit) << first;
      EXPECT_GT(found.missed, limit) << first;
      EXPECT_LE(found.missed, 1.05 * found.kept) << first;
      EXPECT_EQ(found.tries_of_kept, 3) << first;
      EXPECT_LE(found.tries, RateSearch::kProbes + 4) << first;
    }
  }
}

TEST(RateSearch, WhatFailsWhenTriedAgainIsGivenUp) {
  // 100/s keeps the limit the first time only.
  int tries = 0;
  const Found found = search_on(100, [&](double rate, int) {
    if (rate == 100) return ++tries == 1 ? LimitKept::kept : LimitKept::missed;
    return rate < 100 ? LimitKept::kept : LimitKept::missed;
  });
  EXPECT_EQ(tries, 2);
  EXPECT_LT(found.kept, 100);
  EXPECT_GE(found.kept, 100 / 1.05);
  EXPECT_EQ(found.tries_of_kept, 3);
}

TEST(RateSearch, WhatCannotBeToldIsNoAnswer) {
  const Found found = search_on(10, [](double rate, int) {
    if (rate > 50) return LimitKept::missed;
    return rate <= 30 ? LimitKept::kept : LimitKept::cannot_tell;
  });
  EXPECT_LE(found.kept, 30);
  EXPECT_GT(found.kept, 30 / 1.05);
  EXPECT_GT(found.missed, 50);
  EXPECT_LE(found.missed, 50 * 1.05);
}

TEST(RateSearch, AMachineThatNeverMissesEnds) {
  const Found found = search_on(10, [](double, int) { return LimitKept::kept; });
  EXPECT_GT(found.kept, 1e6);
  EXPECT_LE(found.tries, 21);
}

TEST(RateSearch, ALimitThatNoRateKeepsEnds) {
  const Found found = search_on(10, [](double, int) { return LimitKept::missed; });
  EXPECT_EQ(found.kept, 0);
  EXPECT_LE(found.tries, 8);
}

// The whole of it on a machine that is made up: one server of 10 ms, Poisson arrivals.
TEST(RateSearch, OfOneServerAgreesWithTheClosedForm) {
  constexpr double kService_s = 0.01;
  constexpr double kLimit_s = 0.04;
  const double exact = testing::Md1::highest_rate(kService_s, kLimit_s, 0.99);
  ManualClock clock;
  breakeven::testing::FakeClassifier fake(
      clock, [&](std::size_t, std::size_t, std::size_t) { return kService_s; });
  const std::vector<Text> texts = {"one", "three", "seven"};
  const auto outputs = measure::answer_all(fake, texts, 1);
  ASSERT_TRUE(outputs);
  const Found found = search_on(10, [&](double rate, int number) {
    measure::PacedOptions options;
    options.rate_per_s = rate;
    options.window_s = 200;
    options.seed = Random(1, {static_cast<std::uint64_t>(number)}).next();
    const auto samples = measure::run_paced(fake, texts, options, *outputs, clock);
    EXPECT_TRUE(samples);
    record::Record record;
    record.cell.mode = Mode::paced;
    record.cell.arrivals = Arrivals::poisson;
    record.cell.rate_per_s = rate;
    measure::summarise_paced(*samples, texts.size(), record);
    return measure::p99_within(record, kLimit_s);
  });
  EXPECT_LE(found.kept, exact);
  EXPECT_GE(found.kept, 0.75 * exact);  // p99 intervals of 200 s are ±15 %
  EXPECT_GE(found.missed, exact);
  EXPECT_LE(found.missed, 1.5 * exact);
}

TEST(RateSearch, InASweepEachTryIsARecordWithADrawOfItsOwn) {
  breakeven::testing::FakeMachine machine;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 64; ++i) texts.emplace_back(20 + (i * 37) % 200, 'a');
  Axes axes;
  axes.modes = {Mode::paced};
  axes.rates = {0};
  axes.paced_batches = {8};
  Input input;
  input.cells = plan_cells(axes);
  input.texts.assign(texts.begin(), texts.end());
  input.timed = texts.size();
  input.time_s = 1200;
  input.p99_limit_s = 0.03;
  input.work = {1e6, 0};
  input.prototype.model_hash = "model";
  Tools tools;
  tools.make = [&](const Spec& spec) { return machine.make(spec); };
  tools.clock = &machine.clock;
  tools.root = "/nowhere/";  // no counters of this machine
  const auto outcome = run_sweep(input, tools);
  ASSERT_TRUE(outcome) << outcome.error().message;
  std::set<std::uint64_t> seeds;
  double kept = 0;
  double missed = std::numeric_limits<double>::infinity();
  for (const record::Record& record : outcome->records) {
    ASSERT_TRUE(record.paced);
    EXPECT_EQ(record.paced->p99_limit_s, 0.03);
    seeds.insert(record.paced->seed);
    const LimitKept seen = measure::p99_within(record, 0.03);
    if (seen == LimitKept::kept) kept = std::max(kept, record.cell.rate_per_s);
    if (seen == LimitKept::missed) missed = std::min(missed, record.cell.rate_per_s);
  }
  EXPECT_GE(outcome->records.size(), 6U);
  EXPECT_EQ(seeds.size(), outcome->records.size());
  EXPECT_GT(kept, 0);
  EXPECT_GT(missed, kept);
  EXPECT_LT(missed, 2000);  // it answers 862 a second at most

  // From half of what was found it goes on where that ended, and from all of it there is nothing.
  const std::vector<record::Record>& all = outcome->records;
  input.searched.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2));
  const auto rest = run_sweep(input, tools);
  ASSERT_TRUE(rest) << rest.error().message;
  EXPECT_LT(rest->records.size(), all.size());
  EXPECT_EQ(rest->records.front().cell.rate_per_s, all[all.size() / 2].cell.rate_per_s);
  EXPECT_EQ(rest->records.front().paced->seed, all[all.size() / 2].paced->seed);
  input.searched = all;
  RateSearch again(1);
  EXPECT_EQ(again.tell_all(all, input.cells.front(), 0.03), all.size());
  EXPECT_FALSE(again.next());
  record::Cell other = input.cells.front();
  other.batch = 9;
  EXPECT_EQ(RateSearch(1).tell_all(all, other, 0.03), 0U);
}

}  // namespace
}  // namespace breakeven::study
