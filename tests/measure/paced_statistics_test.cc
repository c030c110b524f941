#include "measure/paced_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

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

// A machine's own slow drift makes blocks of whole busy periods alike, too; requests that come to a
// server that idles between them are independent all the same.
TEST(QueueSample, AServerThatIdlesKeepsItsPercentilesWhereTheMachineDrifts) {
  std::vector<double> due_s, seconds;
  Random random(5, {1});
  for (int i = 0; i < 3000; ++i) {
    due_s.push_back(i * 0.01);
    const double drift = 1 + 0.02 * std::sin(i / 100.0);
    seconds.push_back(0.001 * drift * random.uniform(0.9, 1.1));
  }
  const QueueSample sample(due_s, seconds, {0.1, kUsualSpread});
  for (const double share : {0.5, 0.9, 0.95, 0.99}) EXPECT_TRUE(sample.percentile(share)) << share;
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

// docs/measuring.md shows this table.
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

// A server that computes all that waits (up to 64) together, `fixed_s` and 1 s a request: it never
// idles. Its speed changes by `swing` as a neighbour comes and goes for `stay_s` on average.
Requests simulate_batches(double rate_per_s, std::size_t count, double fixed_s, double swing,
                          double stay_s, std::uint64_t seed) {
  constexpr std::size_t kMost = 64;
  Random random(seed, {8});
  const std::vector<double> due_s = due_times(Arrivals::poisson, rate_per_s, count, seed);
  Requests requests;
  double free_s = 0, changes_s = 0;
  bool slow = false;
  for (std::size_t next = 0; next < count;) {
    const double start_s = std::max(free_s, due_s[next]);
    std::size_t end = next;
    while (end < count && end - next < kMost && due_s[end] <= start_s) ++end;
    for (; changes_s < start_s; slow = !slow)
      changes_s -= stay_s * std::log(random.uniform(1e-9, 1));
    free_s = start_s + (slow ? swing : 1) * (fixed_s + static_cast<double>(end - next));
    for (; next < end; ++next) {
      if (next < count / 10) continue;  // warm-up
      requests.due_s.push_back(due_s[next]);
      requests.seconds.push_back(free_s - due_s[next]);
    }
  }
  return requests;
}

// `lanes` batchers of one request each side by side, times of 1 s on average: some lane is busy
// nearly always.
Requests simulate_lanes(double busy, std::size_t count, std::size_t lanes, std::uint64_t seed) {
  Random random(seed, {9});
  std::vector<double> free_s(lanes);
  Requests requests;
  const std::vector<double> due_s =
      due_times(Arrivals::poisson, busy * static_cast<double>(lanes), count, seed);
  for (std::size_t i = 0; i < count; ++i) {
    double& first = *std::min_element(free_s.begin(), free_s.end());
    first = std::max(first, due_s[i]) - std::log(random.uniform(1e-9, 1));
    if (i < count / 10) continue;
    requests.due_s.push_back(due_s[i]);
    requests.seconds.push_back(first - due_s[i]);
  }
  return requests;
}

// docs/measuring.md shows this table.
TEST(PacedCoverage, OfAServerThatNeverIdles) {
  struct Case {
    const char* name;
    double load;  // of the most that it can do
    std::size_t count;
    std::function<Requests(std::size_t count, std::uint64_t seed)> play;
  };
  const auto batches = [](double load, double fixed_s, double swing, double stay_s) {
    return [=](std::size_t count, std::uint64_t seed) {
      const double most = 64 / (fixed_s + 64);
      return simulate_batches(load * most, count, fixed_s, swing, stay_s, seed);
    };
  };
  const Case cases[] = {
      {"batches, 0.5", 0.5, 12'000, batches(0.5, 16, 1, 1)},
      {"batches, 0.7", 0.7, 30'000, batches(0.7, 16, 1, 1)},
      {"batches, 0.5, two speeds", 0.5, 90'000, batches(0.5, 16, 1.4, 300)},
      {"8 lanes, 0.7", 0.7, 20'000,
       [](std::size_t count, std::uint64_t seed) { return simulate_lanes(0.7, count, 8, seed); }},
  };
  constexpr int kRuns = 300;
  for (const auto& [name, load, count, play] : cases) {
    const double truth = percentile(play(2'000'000, 999).seconds, 0.99);
    int given = 0, held = 0;
    std::size_t periods = 0;
    double width = 0;
    for (std::uint64_t run = 0; run < kRuns; ++run) {
      const Requests requests = play(count, run);
      const QueueSample sample(requests.due_s, requests.seconds, {load, kUsualSpread});
      periods = std::max(periods, sample.busy_periods());
      const auto estimate = sample.percentile(0.99);
      if (!estimate) continue;
      ++given;
      width += (estimate->interval->high - estimate->interval->low) / truth;
      held += estimate->interval->low <= truth && truth <= estimate->interval->high ? 1 : 0;
    }
    std::printf(
        "%s, %zu requests: p99 in %.1f %% of runs, interval holds it in %.1f %%, %.0f %% wide (%zu "
        "periods)\n",
        name, count, 100.0 * given / kRuns, 100.0 * held / given, 100.0 * width / given, periods);
    EXPECT_GT(given, 0.7 * kRuns) << name;
    EXPECT_GE(held, 0.92 * given) << name;
    EXPECT_LE(width, 0.15 * given) << name;  // wide enough for two speeds, and no wider
  }
}

}  // namespace
}  // namespace breakeven::measure
