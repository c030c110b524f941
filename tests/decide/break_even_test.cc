#include "decide/break_even.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace breakeven::decide {
namespace {

bool inside(const std::vector<LoadRange>& ranges, double load) {
  for (const LoadRange& range : ranges) {
    if (range.from < load && load <= range.to) return true;
  }
  return false;
}

double cost_per_hour(const Staircase& stairs, double load) {
  return stairs.price * std::max(1.0, std::ceil(load / stairs.rate));
}

TEST(CheaperRanges, AgreeWithTheStaircasesThemselves) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> price(0.05, 2);
  std::uniform_real_distribution<double> rate(1, 100);
  for (int pair = 0; pair < 200; ++pair) {
    const Staircase base{rate(random), price(random)};
    const Staircase other{rate(random) * 3, price(random) * 3};
    const auto ranges = cheaper_ranges(base, other);
    ASSERT_TRUE(ranges);
    for (double load = 0.37; load < 5000; load *= 1.017) {
      EXPECT_EQ(inside(*ranges, load), cost_per_hour(other, load) < cost_per_hour(base, load))
          << "load " << load << " rates " << base.rate << " " << other.rate << " prices "
          << base.price << " " << other.price;
    }
  }
}

TEST(CheaperRanges, OneRangeWhenTheGpuIsMuchFaster) {
  // Three CPU machines cost 0.57, one GPU machine 0.53.
  const auto ranges = cheaper_ranges({200, 0.19}, {9000, 0.53});
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 1U);
  EXPECT_EQ(ranges->front().from, 400);
  EXPECT_TRUE(std::isinf(ranges->front().to));
}

TEST(CheaperRanges, PiecesWhenItIsHardlyWorthIt) {
  // Two texts a second more for twice the price: cheaper only where the other needs a machine more.
  const auto ranges = cheaper_ranges({10, 1}, {25, 2.4});
  ASSERT_TRUE(ranges);
  ASSERT_GE(ranges->size(), 2U);
  EXPECT_EQ((*ranges)[0].from, 20);
  EXPECT_EQ((*ranges)[0].to, 25);
}

TEST(CheaperRanges, NeverWhenDearerAndSlower) {
  const auto ranges = cheaper_ranges({100, 0.19}, {50, 0.53});
  ASSERT_TRUE(ranges);
  EXPECT_TRUE(ranges->empty());
}

TEST(CheaperRanges, TwinsAreNotDecided) {
  EXPECT_FALSE(cheaper_ranges({100, 0.2}, {100, 0.2}));
  EXPECT_FALSE(cheaper_ranges({100, 0}, {100, 0}));
}

TEST(CheaperRanges, AMachineForNothingIsAlwaysCheaper) {
  const auto ranges = cheaper_ranges({100, 0.2}, {1, 0});
  ASSERT_TRUE(ranges);
  ASSERT_EQ(ranges->size(), 1U);
  EXPECT_EQ(ranges->front().from, 0);
}

Candidate machine(Side side, double rate, double uncertainty, double price) {
  Candidate candidate;
  candidate.configuration.side = side;
  candidate.rate = {
      rate, record::Interval{rate * (1 - uncertainty), rate * (1 + uncertainty), 0.95}, "stream"};
  candidate.price = price;
  return candidate;
}

TEST(LoadBreakEven, ItsEndsComeFromTheRatesIntervals) {
  const LoadBreakEven result =
      load_break_even(machine(Side::cpu, 200, 0.1, 0.19), machine(Side::gpu, 9000, 0.1, 0.53));
  ASSERT_TRUE(result.always.load);
  EXPECT_EQ(*result.always.load, 400);
  EXPECT_NEAR(result.always.low, 360, 1e-9);
  EXPECT_NEAR(result.always.high, 440, 1e-9);
}

TEST(LoadBreakEven, OrNeverAtOneEnd) {
  const LoadBreakEven result =
      load_break_even(machine(Side::cpu, 100, 0.1, 1), machine(Side::gpu, 210, 0.1, 2));
  ASSERT_TRUE(result.always.load);
  EXPECT_TRUE(std::isinf(result.always.high));
}

TEST(RatioOf, JoinsIntervalsOnTheLogScale) {
  const record::Estimate a{10, record::Interval{9, 11, 0.95}, 5};
  const record::Estimate b{5, record::Interval{4, 6, 0.95}, 7};
  const record::Estimate ratio = ratio_of(a, b);
  EXPECT_EQ(ratio.value, 2);
  EXPECT_NEAR(std::log(2 / ratio.interval->low), std::hypot(std::log(10.0 / 9), std::log(6.0 / 5)),
              1e-12);
  EXPECT_FALSE(ratio_of(a, {5, std::nullopt, 7}).interval);
}

}  // namespace
}  // namespace breakeven::decide
