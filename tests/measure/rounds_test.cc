#include "measure/rounds.h"

#include <gtest/gtest.h>

#include <cmath>

#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

const double kT2 = student_t_quantile(0.975, 2);

RoundValues of_logs(std::initializer_list<double> logs) {
  RoundValues values;
  for (const double log : logs) values.emplace_back(std::exp(log));
  return values;
}

TEST(PooledNoise, SplitsWhatAllCellsShareFromWhatIsACellsOwn) {
  // Level + round (-0.1, 0, 0.1) + rest, which adds up to 0 over cells and rounds.
  const std::vector<RoundValues> cells = {of_logs({-0.09, -0.02, 0.11}),
                                          of_logs({0.89, 1.02, 1.09})};
  const Noise noise = pooled_noise(cells);
  const double of_rest = 2 * (0.01 * 0.01 + 0.02 * 0.02 + 0.01 * 0.01);
  const double of_rounds = 2 * (0.1 * 0.1 + 0.1 * 0.1);
  EXPECT_NEAR(noise.cell_sd, std::sqrt((of_rounds + of_rest) / 4), 1e-12);
  EXPECT_NEAR(noise.pair_sd, std::sqrt(2 * of_rest / 2), 1e-12);
  EXPECT_NEAR(noise.pair_degrees, 2, 1e-12);
  // Nearly all is shared by both cells: worth little more than the two degrees of three rounds.
  EXPECT_NEAR(noise.cell_degrees,
              2 * std::pow(of_rounds + of_rest, 2) / (of_rounds * of_rounds + of_rest * of_rest),
              1e-9);
  EXPECT_NEAR(noise.speed_range, std::exp(0.2), 1e-12);
}

TEST(PooledNoise, OfCellsThatShareNothingHasNearlyAllDegrees) {
  // The rounds' means are equal.
  const std::vector<RoundValues> cells = {of_logs({-0.1, 0.1, 0}), of_logs({0.1, 0, -0.1}),
                                          of_logs({0, -0.1, 0.1})};
  const Noise noise = pooled_noise(cells);
  EXPECT_NEAR(noise.cell_sd, 0.1, 1e-12);
  EXPECT_NEAR(noise.cell_degrees, 4, 1e-9);
  EXPECT_NEAR(noise.pair_sd, std::sqrt(2 * 0.06 / 4), 1e-12);
}

TEST(PooledNoise, AMissedVisitChangesNoLevel) {
  // Exact levels and rounds, with visits missing: nothing is left over.
  const std::vector<RoundValues> cells = {
      {1.0, 2.0, 4.0}, {3.0, std::nullopt, 12.0}, {std::nullopt, 10.0, 20.0}, {std::nullopt, 7.0}};
  const Noise noise = pooled_noise(cells);
  EXPECT_NEAR(noise.pair_sd, 0, 1e-6);
  EXPECT_EQ(noise.pair_degrees, 2) << "7 points less 3 levels less 2 rounds";
  EXPECT_GT(noise.cell_sd, 0.5);
}

TEST(PooledNoise, OfOneCellIsItsOwn) {
  const std::vector<RoundValues> cells = {of_logs({-0.1, 0, 0.1})};
  const Noise noise = pooled_noise(cells);
  EXPECT_NEAR(noise.cell_sd, 0.1, 1e-12);
  EXPECT_EQ(noise.cell_degrees, 2);
  EXPECT_EQ(noise.pair_degrees, 0);
  EXPECT_EQ(pooled_noise({}).cell_degrees, 0);
  EXPECT_EQ(pooled_noise({}).speed_range, 1);
}

TEST(OverRounds, IsTheGeometricMeanWithThePooledNoise) {
  const Noise noise{0.1, 30, 0.05, 20, 1};
  const auto estimate = over_rounds(of_logs({-0.1, 0.1, 0.3}), noise);
  EXPECT_NEAR(estimate.value, std::exp(0.1), 1e-12);
  EXPECT_EQ(estimate.samples, 3U);
  const double half = student_t_quantile(0.975, 30) * 0.1 / std::sqrt(3);
  ASSERT_TRUE(estimate.interval);
  EXPECT_NEAR(estimate.interval->low, std::exp(0.1 - half), 1e-12);
  EXPECT_NEAR(estimate.interval->high, std::exp(0.1 + half), 1e-12);
  EXPECT_EQ(estimate.interval->confidence, 0.95);
}

TEST(OverRounds, ACellThatIsNoisierThanTheRestGetsItsOwnNoise) {
  const Noise quiet{0.01, 30, 0.01, 20, 1};
  const auto estimate = over_rounds(of_logs({-0.3, 0, 0.3}), quiet);
  EXPECT_NEAR(std::log(estimate.interval->high), kT2 * 0.3 / std::sqrt(3), 1e-9);
  const auto ratio = ratio_by_round(of_logs({-0.3, 0, 0.3}), of_logs({0, 0, 0}), quiet);
  EXPECT_NEAR(std::log(ratio.interval->high), kT2 * 0.3 / std::sqrt(3), 1e-9);
}

TEST(OverRounds, FewerThanThreeRoundsCarryNoInterval) {
  const Noise noise{0.1, 30, 0.05, 20, 1};
  const auto two = over_rounds({2.0, std::nullopt, 8.0}, noise);
  EXPECT_NEAR(two.value, 4, 1e-12);
  EXPECT_EQ(two.samples, 2U);
  EXPECT_FALSE(two.interval);
  EXPECT_EQ(over_rounds({std::nullopt}, noise).value, 0);
  EXPECT_FALSE(ratio_by_round({1.0, 2.0, std::nullopt, 4.0}, {1.0, 2.0, 3.0}, noise).interval);
  EXPECT_EQ(ratio_by_round({1.0, std::nullopt}, {std::nullopt, 2.0}, noise).value, 0);
}

TEST(RatioByRound, WhatBothSidesShareCancels) {
  const RoundValues a = of_logs({-0.5, 0.1, 0.4});
  const RoundValues b = of_logs({-0.6, 0, 0.3});
  const auto ratio = ratio_by_round(a, b, {0.5, 2.2, 0.02, 20, 2.5});
  EXPECT_NEAR(ratio.value, std::exp(0.1), 1e-12);
  ASSERT_TRUE(ratio.interval);
  EXPECT_NEAR(std::log(ratio.interval->high / ratio.value),
              student_t_quantile(0.975, 20) * 0.02 / std::sqrt(3), 1e-12);
}

TEST(RatioByRound, WithoutAThirdCellThePairsOwnNoiseDecides) {
  const auto ratio = ratio_by_round(of_logs({-0.1, 0, 0.1}), of_logs({0, 0, 0}), Noise{});
  EXPECT_NEAR(std::log(ratio.interval->high), kT2 * 0.1 / std::sqrt(3), 1e-9);
}

TEST(RatioOfSides, JoinsTheNoiseOfBoth) {
  const Noise of_a{0.03, 30, 0, 0, 1};
  const Noise of_b{0.04, 30, 0, 0, 1};
  const RoundValues flat = {2.0, 2.0, 2.0};
  const auto ratio = ratio_of_sides({6.0, 6.0, 6.0}, of_a, flat, of_b);
  EXPECT_NEAR(ratio.value, 3, 1e-12);
  const double half = student_t_quantile(0.975, 30) * 0.05 / std::sqrt(3);
  EXPECT_NEAR(ratio.interval->high, 3 * std::exp(half), 1e-9);
  EXPECT_FALSE(ratio_of_sides({6.0, 6.0}, of_a, flat, of_b).interval);
  EXPECT_EQ(ratio_of_sides({}, of_a, flat, of_b).value, 0);
}

TEST(PassSecondsByRound, APassStandsInForARoundWhereThereAreNone) {
  record::Record record;
  record.passes = 2;
  record.samples_s = {1, 2, 3, 4, 9};
  record.sample_positions = {0, 1, 0, 1, 0};
  EXPECT_EQ(pass_seconds_by_round(record), (RoundValues{3.0, 7.0}));
  record.sample_positions.clear();  // stream: a sample is a pass
  record.samples_s = {5, 6};
  EXPECT_EQ(pass_seconds_by_round(record), (RoundValues{5.0, 6.0}));
  record.passes = 0;
  EXPECT_TRUE(pass_seconds_by_round(record).empty());
}

}  // namespace
}  // namespace breakeven::measure
