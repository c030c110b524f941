#include "decide/machines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace breakeven::decide {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A rate without doubt.
MachineKind exact(double rate, double price) {
  return {{rate, rate}, price};
}

double cost_at(const MachineKind& kind, double load) {
  return kind.price * machines_for(load, kind, 1).high;
}

TEST(Machines, AreCountedFromTheLowEndAtTheTargetUse) {
  const MachineKind kind{{308, 812}, 0.71};
  EXPECT_EQ(machines_for(1000, kind, 0.7).high, 5);  // 1,000 / 215.6
  EXPECT_EQ(machines_for(1000, kind, 0.7).low, 2);   // 1,000 / 568.4
  EXPECT_EQ(machines_for(10'000, kind, 0.7).high, 47);
  EXPECT_EQ(machines_for(10'000, kind, 0.7).low, 18);
  EXPECT_EQ(machines_for(1, kind, 0.7).high, 1);
  EXPECT_EQ(machines_for(1000, kind, 1).high, 4);
}

TEST(Machines, AnOpenRateMayNeedOneMachineAndAnUnknownOneAnyNumber) {
  EXPECT_EQ(machines_for(1000, {{100, kInfinity}, 1}, 0.7).low, 1);
  EXPECT_EQ(machines_for(1000, {{0, 100}, 1}, 0.7).high, kInfinity);
  EXPECT_EQ(cost_a_million({{0, 100}, 0}).high, 0);  // for nothing, however many there are
}

TEST(Cheaper, TheEndsOfBothRangesMustAgree) {
  EXPECT_EQ(cheaper({1, 2}, {3, 4}, Side::cpu), Leads::cpu);
  EXPECT_EQ(cheaper({3, 4}, {1, 2}, Side::cpu), Leads::gpu);
  EXPECT_EQ(cheaper({1, 3}, {2, 4}, Side::cpu), Leads::cannot_tell);
}

TEST(Cheaper, ATieGoesWhereItIsTold) {
  EXPECT_EQ(cheaper({1, 1}, {1, 1}, Side::cpu), Leads::cpu);
  EXPECT_EQ(cheaper({1, 1}, {1, 1}, Side::gpu), Leads::gpu);
  EXPECT_EQ(cheaper({1, 2}, {2, 3}, Side::cpu), Leads::cpu);
  EXPECT_EQ(cheaper({1, 2}, {2, 3}, Side::gpu), Leads::cannot_tell);
}

// By brute force over loads: cheaper above `first`, never below it, always above `always`.
TEST(LoadBreakEven, AgreesWithTheStaircasesThemselves) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> price(0.05, 2);
  std::uniform_real_distribution<double> rate(1, 100);
  for (int pair = 0; pair < 200; ++pair) {
    const MachineKind cpu = exact(rate(random), price(random));
    const MachineKind gpu = exact(rate(random) * 3, price(random) * 3);
    const LoadBreakEven result = load_break_even(cpu, gpu, 1);
    ASSERT_TRUE(result.decided);
    const double first = result.first.load.value_or(kInfinity);
    const double always = result.always.load.value_or(kInfinity);
    EXPECT_LE(first, always);
    for (double load = 0.37; load < 5000; load *= 1.017) {
      const bool gpu_leads = cost_at(gpu, load) < cost_at(cpu, load);
      if (load <= first) {
        EXPECT_FALSE(gpu_leads) << load;
      }
      if (load > always) {
        EXPECT_TRUE(gpu_leads) << load;
      }
    }
  }
}

TEST(LoadBreakEven, ThreeCpuMachinesCostMoreThanOneGpuMachine) {
  const LoadBreakEven result = load_break_even(exact(200, 0.19), exact(9000, 0.53), 1);
  EXPECT_EQ(result.first.load, 400);
  EXPECT_EQ(result.always.load, 400);
  EXPECT_EQ(load_break_even(exact(200, 0.19), exact(9000, 0.53), 0.7).first.load, 280);
}

TEST(LoadBreakEven, CheaperInPiecesWhenItIsHardlyWorthIt) {
  // Two texts a second more for twice the price: cheaper only where the other needs a machine more.
  const LoadBreakEven result = load_break_even(exact(10, 1), exact(25, 2.4), 1);
  EXPECT_EQ(result.first.load, 20);
  EXPECT_GT(result.always.load.value_or(0), 25);
}

TEST(LoadBreakEven, NeverWhenDearerAndSlower) {
  const LoadBreakEven result = load_break_even(exact(100, 0.19), exact(50, 0.53), 1);
  EXPECT_TRUE(result.decided);
  EXPECT_FALSE(result.first.load);
  EXPECT_FALSE(result.always.load);
}

TEST(LoadBreakEven, TwinsAreNotDecided) {
  EXPECT_FALSE(load_break_even(exact(100, 0.2), exact(100, 0.2), 1).decided);
  EXPECT_FALSE(load_break_even(exact(100, 0), exact(100, 0), 1).decided);
}

TEST(LoadBreakEven, AMachineForNothingIsAlwaysCheaper) {
  EXPECT_EQ(load_break_even(exact(100, 0.2), exact(1, 0), 1).always.load, 0);
}

// Planned with the low ends; the corners of both intervals give the range.
TEST(LoadBreakEven, ItsRangeComesFromTheRatesIntervals) {
  const LoadBreakEven result = load_break_even({{308, 812}, 0.71}, {{16'200, 16'500}, 2.00}, 0.7);
  EXPECT_NEAR(result.first.load.value_or(0), 2 * 0.7 * 308, 1e-9);  // three CPU machines: 2.13
  EXPECT_NEAR(result.first.low, 2 * 0.7 * 308, 1e-9);
  EXPECT_NEAR(result.first.high, 2 * 0.7 * 812, 1e-9);
}

TEST(LoadBreakEven, OrNeverAtOneEnd) {
  const LoadBreakEven result = load_break_even({{90, 110}, 1}, {{189, 231}, 2}, 1);
  EXPECT_TRUE(std::isinf(result.always.high));
}

TEST(LoadBreakEven, AnOpenRateIsNotNever) {
  const LoadBreakEven result = load_break_even({{100, kInfinity}, 0.19}, {{100, kInfinity}, 0.53});
  EXPECT_FALSE(result.always.load);
  EXPECT_TRUE(std::isfinite(result.always.low));
}

}  // namespace
}  // namespace breakeven::decide
