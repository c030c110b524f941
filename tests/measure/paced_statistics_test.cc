#include "measure/paced_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/random.h"
#include "measure/paced.h"
#include "measure/statistics.h"
#include "testing/md1.h"

namespace breakeven::measure {
namespace {

using breakeven::testing::Md1;

struct Requests {
  std::vector<double> due_s, seconds;
};

// One server, Poisson arrivals at `busy` of what it can do; the first tenth is not counted. Times
// of 1 s on average: all alike, or log-normal of this relative spread.
Requests simulate(double busy, std::size_t count, double spread, std::uint64_t seed) {
  Random random(seed, {7});
  const double sigma = std::sqrt(std::log(1 + spread * spread));
  Requests requests;
  double free_s = 0;
  for (const double due_s : due_times(Arrivals::poisson, busy, count, seed)) {
    free_s = std::max(free_s, due_s) + std::exp(sigma * random.normal() - sigma * sigma / 2);
    requests.due_s.push_back(due_s);
    requests.seconds.push_back(free_s - due_s);
  }
  const auto warm_up = static_cast<std::ptrdiff_t>(count / 10);
  requests.due_s.erase(requests.due_s.begin(), requests.due_s.begin() + warm_up);
  requests.seconds.erase(requests.seconds.begin(), requests.seconds.begin() + warm_up);
  return requests;
}

TEST(QueueSample, BusyPeriodsEndWhereNobodyIsLeft) {
  // 0 and 1 share a server until 2; 3 comes when it is free; 4 comes while 3 is served.
  const std::vector<double> due_s = {0, 0.5, 3, 3.5, 9};
  const std::vector<double> seconds = {1, 1.5, 1, 1.5, 1};
  const QueueSample sample(due_s, seconds, {});
  EXPECT_EQ(sample.busy_periods(), 3U);
  EXPECT_EQ(sample.episodes(0.5), 2U);  // 1.5 s twice, in two of them
  EXPECT_FALSE(sample.percentile(0.5));
  EXPECT_EQ(QueueSample({}, {}, {}).episodes(0.99), 0U);
}

TEST(QueueSample, OneStallCarriesNoPercentileHoweverManyItHolds) {
  // 10,000 requests, 50 a second; for 4 s nobody is answered, so that 2 % of them wait.
  std::vector<double> due_s;
  std::vector<double> seconds;
  for (int i = 0; i < 10'000; ++i) {
    due_s.push_back(i * 0.02);
    const bool stalled = i >= 5000 && i < 5200;
    seconds.push_back(stalled ? 104.001 - due_s.back() : 0.001 + 1e-6 * (i % 97));
  }
  const QueueSample sample(due_s, seconds, {});
  EXPECT_EQ(sample.episodes(0.99), 1U);
  EXPECT_FALSE(sample.percentile(0.99));
  ASSERT_TRUE(sample.percentile(0.5));
  EXPECT_NEAR(sample.percentile(0.5)->value, 0.001, 1e-4);
}

struct Coverage {
  double given = 0;  // share of the runs that gave a percentile
  double held = 0;   // share of those whose interval holds the truth
};

Coverage coverage(double busy, std::size_t count, double spread, double share, double truth) {
  constexpr int kRuns = 300;
  int given = 0;
  int held = 0;
  for (int run = 0; run < kRuns; ++run) {
    const Requests requests = simulate(busy, count, spread, static_cast<std::uint64_t>(run));
    const QueueSample sample(requests.due_s, requests.seconds, {busy, spread});
    const auto estimate = sample.percentile(share);
    if (!estimate) continue;
    ++given;
    held += estimate->interval->low <= truth && truth <= estimate->interval->high ? 1 : 0;
  }
  return {given / double{kRuns}, given > 0 ? held / static_cast<double>(given) : 0};
}

// docs/paced.md shows this table.
TEST(PacedCoverage, OfAP99AgainstTheClosedForm) {
  struct Case {
    double busy;
    std::size_t too_few, enough;
  };
  for (const auto& [busy, too_few, enough] :
       {Case{0.5, 2900, 6000}, Case{0.7, 10'000, 20'000}, Case{0.85, 50'000, 80'000}}) {
    const double truth = Md1(busy, 1).percentile_s(0.99);
    EXPECT_EQ(coverage(busy, too_few, 0, 0.99, truth).given, 0) << busy;
    const Coverage seen = coverage(busy, enough, 0, 0.99, truth);
    std::printf("%.2f busy, %zu requests: p99 in %.1f %% of runs, interval holds it in %.1f %%\n",
                busy, enough, 100 * seen.given, 100 * seen.held);
    EXPECT_GT(seen.given, 0.8) << busy;
    EXPECT_GE(seen.held, 0.92) << busy;
    EXPECT_LE(seen.held, 0.98) << busy;
  }
}

TEST(PacedCoverage, OfTextsOfManyLengths) {
  // Times as spread as those of film reviews; the truth from one long simulation.
  constexpr double kSpread = 0.7;
  struct Case {
    double busy;
    std::size_t count;
    double share;
  };
  for (const auto& [busy, count, share] :
       {Case{0.5, 10'000, 0.99}, Case{0.7, 36'000, 0.99}, Case{0.85, 20'000, 0.9},
        Case{0.5, 1500, 0.9}, Case{0.7, 2000, 0.5}}) {
    const double truth = percentile(simulate(busy, 2'000'000, kSpread, 999).seconds, share);
    const Coverage seen = coverage(busy, count, kSpread, share, truth);
    std::printf("%.2f busy, %zu requests: p%g in %.1f %% of runs, interval holds it in %.1f %%\n",
                busy, count, 100 * share, 100 * seen.given, 100 * seen.held);
    EXPECT_GT(seen.given, 0.7) << busy << " " << share;
    EXPECT_GE(seen.held, 0.92) << busy << " " << share;
    EXPECT_LE(seen.held, 0.985) << busy << " " << share;
  }
}

}  // namespace
}  // namespace breakeven::measure
