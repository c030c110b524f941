// The search over made-up servers in made-up time: what it says is proven, is so.
#include "load/study.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "base/clock.h"
#include "measure/paced_limit.h"
#include "measure/statistics.h"
#include "testing/md1.h"

namespace breakeven::load {
namespace {

// Answers up to `most` requests a batch, which takes fixed_s and each_s a request; one at a time.
struct Batching {
  double fixed_s = 0.01, each_s = 0;
  std::size_t most = 1;
  double most_per_s() const { return double(most) / (fixed_s + each_s * double(most)); }

  std::vector<Exchange> answer(const std::vector<double>& due_s, double begin_s) const {
    std::vector<Exchange> exchanges(due_s.size());
    double free_s = 0;
    for (std::size_t next = 0; next < due_s.size();) {
      const double start_s = std::max(free_s, due_s[next]);
      std::size_t end = next;
      while (end < due_s.size() && end - next < most && due_s[end] <= start_s) ++end;
      free_s = start_s + fixed_s + each_s * double(end - next);
      for (; next < end; ++next) {
        Exchange& each = exchanges[next];
        each.due_s = each.sent_s = begin_s + due_s[next];
        each.done_s = begin_s + free_s;
        each.end = End::answered;
      }
    }
    return exchanges;
  }
  double p99_s(double rate_per_s) const {
    const Schedule schedule = make_schedule(Arrivals::poisson, rate_per_s, 1'000'000, 1, 99);
    std::vector<double> seconds;
    for (const Exchange& each : answer(schedule.due_s, 0)) {
      seconds.push_back(each.done_s - each.due_s);
    }
    return measure::percentile(seconds, 0.99);
  }
};

struct World {
  Batching server;
  ManualClock clock{};
  StudyOptions options{};
  int kept = 0;

  Result<StudyOutcome> run() {
    options.most_per_s = server.most_per_s();
    StudyTools tools;
    tools.clock = &clock;
    tools.keep = [this](const record::Record&) -> Result<void> {
      ++kept;
      return {};
    };
    tools.play = [this](const Schedule& schedule, double rate_per_s,
                        double most_per_s) -> Result<Windowed> {
      Played played;
      played.begin_s = clock.now_s();
      played.exchanges = server.answer(schedule.due_s, played.begin_s);
      clock.advance(schedule.window_s);
      Windowed windowed;
      windowed.record.cell.arrivals = options.arrivals;
      windowed.record.cell.rate_per_s = rate_per_s;
      windowed.record.http.emplace();
      summarise({rate_per_s, 20 * options.p99_limit_s, options.p99_limit_s, most_per_s}, schedule,
                played, windowed.record);
      return windowed;
    };
    return run_study(options, tools);
  }
};

TEST(LoadStudy, ProvesTheRateOfTheClosedForm) {
  constexpr double kService_s = 0.01, kLimit_s = 0.04;
  const double exact = testing::Md1::highest_rate(kService_s, kLimit_s, 0.99);
  int holds = 0;
  constexpr int kRuns = 40;
  for (int run = 0; run < kRuns; ++run) {
    World world{{kService_s, 0, 1}};
    world.options.p99_limit_s = kLimit_s;
    world.options.seed = std::uint64_t(run) + 1;
    world.options.time_s = 1e6;
    const auto outcome = world.run();
    ASSERT_TRUE(outcome);
    const measure::Proven proven = measure::proven_rate(outcome->records, kLimit_s);
    EXPECT_EQ(world.kept, int(outcome->records.size()));
    EXPECT_GE(proven.kept_per_s, 0.6 * exact) << run;
    holds += proven.kept_per_s <= exact && proven.missed_per_s >= exact ? 1 : 0;
  }
  EXPECT_GE(holds, 37) << "of " << kRuns;
}

TEST(LoadStudy, OfAServerThatBatchesToo) {
  constexpr double kLimit_s = 0.05;
  const Batching server{0.004, 0.0005, 32};
  int holds = 0;
  constexpr int kRuns = 20;
  for (int run = 0; run < kRuns; ++run) {
    World world{server};
    world.options.p99_limit_s = kLimit_s;
    world.options.seed = std::uint64_t(run) + 1;
    world.options.time_s = 1e6;
    const auto outcome = world.run();
    ASSERT_TRUE(outcome);
    const measure::Proven proven = measure::proven_rate(outcome->records, kLimit_s);
    EXPECT_GT(proven.kept_per_s, 0) << run;
    const bool low = proven.kept_per_s > 0 && server.p99_s(proven.kept_per_s) <= kLimit_s;
    const bool high = proven.missed_per_s == 0 || proven.missed_per_s > server.most_per_s() ||
                      server.p99_s(proven.missed_per_s) > kLimit_s;
    holds += low && high ? 1 : 0;
  }
  EXPECT_GE(holds, 19) << "of " << kRuns;
}

TEST(LoadStudy, KeepsToItsTimeAndSaysWhatIsLeft) {
  World world{{0.01, 0, 1}};
  world.options.p99_limit_s = 0.04;
  world.options.time_s = 60;
  const auto outcome = world.run();
  ASSERT_TRUE(outcome);
  EXPECT_LE(world.clock.now_s(), 60);
  ASSERT_EQ(outcome->notes.size(), 1U);
  EXPECT_NE(outcome->notes[0].find("a longer --time"), std::string::npos);
  EXPECT_FALSE(outcome->interrupted);
}

TEST(LoadStudy, GivenRatesShareTheTime) {
  World world{{0.01, 0, 1}};
  world.options.rates = {10, 50};
  world.options.time_s = 110;
  const auto outcome = world.run();
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->records.size(), 2U);
  EXPECT_NEAR(outcome->records[0].paced->window_s, 45, 0.2);
  EXPECT_NEAR(outcome->records[1].paced->window_s, 49.1, 0.5);
  EXPECT_NE(outcome->records[0].paced->seed, outcome->records[1].paced->seed);
}

TEST(LoadStudy, EndsWhereItIsStoppedOrFails) {
  World world{{0.01, 0, 1}};
  std::atomic<bool> stop{true};
  world.options.rates = {10};
  world.options.stop = &stop;
  const auto stopped = world.run();
  ASSERT_TRUE(stopped);
  EXPECT_TRUE(stopped->interrupted);
  EXPECT_TRUE(stopped->records.empty());
  StudyTools tools;
  tools.play = [](const Schedule&, double, double) -> Result<Windowed> {
    return fail("load/server-gone", "gone");
  };
  StudyOptions options;
  options.p99_limit_s = 1;
  options.most_per_s = 100;
  EXPECT_EQ(run_study(options, tools).error().code, "load/server-gone");
}

TEST(LoadStudy, ARateIsAsGoodAsItsWorstWindow) {
  const auto record_of = [](double rate, double p99_s, bool saturated) {
    record::Record record;
    record.cell.rate_per_s = rate;
    record.paced.emplace().saturated = saturated;
    if (!saturated) {
      record.latency_s["p99"] = {p99_s, record::Interval{0.9 * p99_s, 1.1 * p99_s}, 1000};
    }
    return record;
  };
  const std::vector<record::Record> records = {
      record_of(10, 0.01, false), record_of(10, 0.02, false), record_of(20, 0.03, false),
      record_of(20, 0.2, false),  record_of(40, 0, true),     record_of(5, 0.01, false)};
  const measure::Proven proven = measure::proven_rate(records, 0.05);
  EXPECT_EQ(proven.kept_per_s, 10);
  EXPECT_EQ(proven.times, 2);
  EXPECT_EQ(proven.missed_per_s, 20);
}

}  // namespace
}  // namespace breakeven::load
