// Schedules, and what windows of made-up exchanges say.
#include "load/window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "measure/paced_limit.h"
#include "measure/thresholds.h"

namespace breakeven::load {
namespace {

TEST(Schedule, IsWholeBeforeItBeginsAndTheSameForASeed) {
  const Schedule one = make_schedule(Arrivals::poisson, 100, 5000, 16, 7);
  const Schedule same = make_schedule(Arrivals::poisson, 100, 5000, 16, 7);
  const Schedule other = make_schedule(Arrivals::poisson, 100, 5000, 16, 8);
  EXPECT_EQ(one.due_s, same.due_s);
  EXPECT_EQ(one.texts, same.texts);
  EXPECT_NE(one.due_s, other.due_s);
  EXPECT_NE(one.texts, other.texts);
  EXPECT_EQ(one.window_s, 50);
  EXPECT_TRUE(std::is_sorted(one.due_s.begin(), one.due_s.end()));
  EXPECT_LT(one.due_s.back(), 50);
  EXPECT_EQ(*std::max_element(one.texts.begin(), one.texts.end()), 15U);
}

TEST(Schedule, ATraceKeepsItsBunchesAtAnyRate) {
  const auto trace = parse_trace("# seconds\n10\n10.5\n\n10.5\n 13 \r\n", "t");
  ASSERT_TRUE(trace) << trace.error().to_string();
  EXPECT_EQ(trace->gap_s, (std::vector<double>{0.5, 0, 2.5, 1}));
  EXPECT_EQ(trace->rate_per_s(), 1);
  const Schedule twice = make_schedule(Arrivals::trace, 2, 6, 1, 1, *trace);
  EXPECT_EQ(twice.due_s, (std::vector<double>{0, 0.25, 0.25, 1.5, 2, 2.25}));
}

TEST(Schedule, WhatIsNoTraceIsToldWithItsLine) {
  const std::pair<const char*, const char*> cases[] = {{"1\nx\n", "line 2: 'x' is no time"},
                                                       {"1\n0.5\n", "line 2: 0.5 comes after 1"},
                                                       {"-1\n", "line 1"},
                                                       {"inf\n", "line 1"},
                                                       {"", "fewer than two"},
                                                       {"5\n", "fewer than two"},
                                                       {"5\n5\n", "fewer than two"}};
  for (const auto& [text, said] : cases) {
    const auto trace = parse_trace(text, "t.txt");
    ASSERT_FALSE(trace) << text;
    EXPECT_EQ(trace.error().code, "load/trace");
    EXPECT_NE(trace.error().message.find(said), std::string::npos) << trace.error().message;
  }
  EXPECT_FALSE(read_trace("no-such-file"));
}

// --- windows
constexpr double kTimeout_s = 2, kLimit_s = 0.05;

struct Played2 {
  Schedule schedule;
  Played played;
  record::Record record;
};

// A server with one text at a time; `serve(request)`: its seconds.
template <class Serve>
Played2 play(double rate, std::size_t count, const Serve& serve) {
  Played2 all;
  all.schedule = make_schedule(Arrivals::poisson, rate, count, 4, 3);
  all.played.begin_s = 1000;
  double free_s = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Exchange& each = all.played.exchanges.emplace_back();
    each.due_s = each.sent_s = 1000 + all.schedule.due_s[i];
    free_s = std::max(free_s, each.due_s) + serve(i);
    each.done_s = free_s;
    each.end = End::answered;
    each.status = 200;
  }
  all.record.cell.arrivals = Arrivals::poisson;
  all.record.cell.rate_per_s = rate;
  all.record.http.emplace().null_per_s = 1e6;
  return all;
}

void summarise(Played2& all, double rate, double most) {
  summarise({rate, kTimeout_s, kLimit_s, most}, all.schedule, all.played, all.record);
}

TEST(Window, LatencyCountsFromWhenItWasDueAndTheFirstTenthDoesNot) {
  Played2 all = play(100, 4000, [](std::size_t) { return 0.001; });
  for (Exchange& each : all.played.exchanges) each.sent_s += 0.0005;
  summarise(all, 100, 1000);
  const record::Record& record = all.record;
  EXPECT_FALSE(record.paced->saturated);
  EXPECT_NEAR(double(record.paced->requests), 3600, 100);
  EXPECT_EQ(record.paced->answered, record.paced->requests);
  EXPECT_NEAR(record.paced->window_s, 36, 1e-9);
  EXPECT_NEAR(record.latency_s.at("p50").value, 0.001, 1e-4);
  ASSERT_TRUE(record.latency_s.count("p99"));
  EXPECT_LT(*record.http->sent_s_p99, record.latency_s.at("p99").value);
  EXPECT_NEAR(record.reviews_per_s.value, 100, 3);
  EXPECT_EQ(measure::p99_within(record, kLimit_s), measure::LimitKept::kept);
  EXPECT_EQ(record.samples_s.size(), record.paced->requests);
}

TEST(Window, WhatFailedIsSlowerThanAnyLimit) {
  Played2 all = play(100, 8000, [](std::size_t) { return 0.001; });
  std::size_t number = 0;
  const End ends[] = {End::refused, End::error,     End::malformed,
                      End::broken,  End::timed_out, End::unsent};
  for (Exchange& each : all.played.exchanges) {
    if (++number % 10 == 0) each.end = ends[number / 10 % 6];
  }
  summarise(all, 100, 1000);
  const record::Http& http = *all.record.http;
  EXPECT_FALSE(all.record.paced->saturated);
  for (const auto count :
       {http.refused, http.errors, http.malformed, http.broken, http.timed_out, http.unsent}) {
    EXPECT_NEAR(double(count), 120, 6);
  }
  EXPECT_EQ(all.record.latency_s.at("p99").value, kTimeout_s);
  EXPECT_EQ(measure::p99_within(all.record, kLimit_s), measure::LimitKept::missed);
  EXPECT_NEAR(*http.goodput_per_s, 90, 4);
  EXPECT_TRUE(measure::is_invalid(all.record)) << "over 1 % were not sent";
}

TEST(Window, ShedLoadIsMoreThanItTakes) {
  Played2 all = play(100, 2000, [](std::size_t) { return 0.001; });
  for (std::size_t i = 0; i < all.played.exchanges.size(); i += 5) {
    all.played.exchanges[i].end = End::refused;
  }
  summarise(all, 100, 1000);
  EXPECT_TRUE(all.record.paced->saturated);
  EXPECT_TRUE(all.record.latency_s.empty());
  EXPECT_NEAR(all.record.reviews_per_s.value, 80, 4);
}

TEST(Window, AGrowingBacklogIsMoreThanItTakesWhateverTheP99) {
  // 5 % more than it can do, and still within a limit of many seconds.
  Played2 all = play(105, 40'000, [](std::size_t) { return 0.01; });
  summarise(all, 105, 0);
  EXPECT_TRUE(all.record.paced->saturated);
  EXPECT_NEAR(all.record.reviews_per_s.value, 100, 0.5);
  Played2 less = play(95, 40'000, [](std::size_t) { return 0.01; });
  summarise(less, 95, 100);
  EXPECT_FALSE(less.record.paced->saturated);
  // A pause near the end is a pause.
  Played2 pause = play(100, 10'000, [](std::size_t i) { return i == 9900 ? 0.9 : 0.001; });
  summarise(pause, 100, 1000);
  EXPECT_FALSE(pause.record.paced->saturated);
}

TEST(Window, AServerThatIsLateByItselfIsNotCalibratedAway) {
  Played2 all = play(100, 2000, [](std::size_t) { return 0.001; });
  all.record.http->null_s_p99 = 0.3 * kLimit_s;
  all.record.http->null_per_s = 400;
  summarise(all, 100, 1000);
  std::vector<std::string> codes;
  for (const auto& reason : all.record.reasons) codes.push_back(reason.code);
  EXPECT_EQ(codes, (std::vector<std::string>{"null-late", "null-rate"}));
}

}  // namespace
}  // namespace breakeven::load
