#include "measure/rounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

TEST(PooledNoise, BlocksThatShareNoRoundHaveLevelsOfTheirOwn) {
  RoundValues third = of_logs({-0.1, 0.1, 0});
  RoundValues fourth = of_logs({0.9, 1, 1.1});
  for (RoundValues* later : {&third, &fourth}) later->insert(later->begin(), 3, std::nullopt);
  const std::vector<RoundValues> cells = {of_logs({-0.1, 0, 0.1}), of_logs({0.1, 0, -0.1}), third,
                                          fourth};
  const Noise noise = pooled_noise(cells);
  EXPECT_NEAR(noise.cell_sd, std::sqrt(0.08 / 8), 1e-12);
  EXPECT_EQ(noise.pair_degrees, 4) << "2 in each block, as if it were alone";
}

TEST(PooledNoise, CellsThatAreVisitedTogetherAreOneLookAtTheMachine) {
  // Two groups of two cells. A group's stretch of a round is 0.1 off, its cells differ by 0.01.
  const std::vector<RoundValues> cells = {of_logs({-0.11, 0.11, 0}),
                                          of_logs({-0.09, 0.09, 0}),  // one group
                                          of_logs({0.11, -0.11, 0}), of_logs({0.09, -0.09, 0})};
  const Noise apart = pooled_noise(cells);
  const Noise together = pooled_noise(cells, std::vector<std::size_t>{7, 7, 3, 3});
  EXPECT_NEAR(apart.cell_sd, together.cell_sd, 1e-12);
  EXPECT_GT(apart.cell_degrees, 5);
  EXPECT_LT(together.cell_degrees, 2.1) << "two rounds' differences of two groups that add up to 0";
  // Mean squares: of stretches 2 cells × 4 × 0.1², 2 degrees; of cells 8 × 0.01², 4 degrees.
  const double of_stretches = 0.08 / 2;
  const double of_cells = 0.0008 / 4;
  EXPECT_NEAR(together.pair_sd, std::sqrt(of_stretches + of_cells), 1e-12);
  EXPECT_NEAR(together.pair_degrees, 2, 0.05);
  EXPECT_GT(together.pair_sd, apart.pair_sd);
}

TEST(PooledNoise, OfOneGroupAloneIsThatOfItsCells) {
  const std::vector<RoundValues> cells = {of_logs({-0.09, -0.02, 0.11}),
                                          of_logs({0.89, 1.02, 1.09})};
  const Noise noise = pooled_noise(cells, std::vector<std::size_t>{0, 0});
  EXPECT_NEAR(noise.pair_sd, pooled_noise(cells).pair_sd, 1e-12);
  EXPECT_NEAR(noise.pair_degrees, 2, 1e-9);
}

TEST(VisitedTogether, AreCellsThatDifferInBatchAndModeOnly) {
  std::vector<record::Record> records(4);
  records[1].cell.batch = 32;
  records[1].cell.mode = Mode::stream;
  records[2].cell.precision = Precision::int8;
  records[3].cell.runtime.name = "openvino";
  std::vector<const record::Record*> all;
  for (const record::Record& record : records) all.push_back(&record);
  EXPECT_EQ(visited_together(all), (std::vector<std::size_t>{0, 0, 1, 2}));
}

TEST(PooledNoise, ACellThatIsFarNoisierDoesNotMakeTheRestLookSo) {
  std::vector<RoundValues> cells(11, of_logs({-0.01, 0, 0.01, 0, 0}));
  for (std::size_t i = 0; i < cells.size(); ++i) {
    std::rotate(cells[i].begin(), cells[i].begin() + static_cast<std::ptrdiff_t>(i % 5),
                cells[i].end());
  }
  const double quiet = pooled_noise(cells).cell_sd;
  cells.push_back(of_logs({-0.2, 0.2, 0, 0.1, -0.1}));
  EXPECT_EQ(pooled_noise(cells).cell_sd, quiet);
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
  const auto estimate = over_rounds(of_logs({0, 0.1, 0.2}), noise);
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

// Three rounds of serial batches, two batches a pass; every time is `slowness` of its round × its
// batch's seconds.
record::Record three_rounds() {
  record::Record record;
  const double slowness[] = {1, 1.4, 1.1};
  for (std::uint32_t round = 0; round < 3; ++round) {
    const std::uint64_t passes = 4;
    record.rounds.push_back({round + 2, 100.0 * round, passes, 3 * slowness[round], std::nullopt});
    for (std::uint64_t sample = 0; sample < 2 * passes; ++sample) {
      record.sample_positions.push_back(sample % 2);
      record.sample_rounds.push_back(round + 2);
      record.samples_s.push_back((sample % 2 == 0 ? 1 : 2) * slowness[round]);
    }
  }
  record.passes = 12;
  return record;
}

void expect_values(const RoundValues& values, std::vector<double> expected) {
  ASSERT_EQ(values.size(), 2 + expected.size());
  EXPECT_FALSE(values[0] || values[1]) << "rounds of another block";
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(*values[i + 2], expected[i], 1e-12);
}

TEST(PassSecondsByRound, AreThoseOfTheVisits) {
  const record::Record record = three_rounds();
  expect_values(pass_seconds_by_round(record), {3, 4.2, 3.3});
  expect_values(percentile_by_round(record, 0.5), {1.5, 2.1, 1.65});
  EXPECT_EQ(stalls_of(record).count, 0U);
}

TEST(PassSecondsByRound, AStallIsCountedAndLeftOut) {
  record::Record record = three_rounds();
  record.samples_s[10] += 7;  // the second round's, in place of 1.4
  record.rounds[1].pass_s += 7.0 / 4;
  expect_values(pass_seconds_by_round(record), {3, 4.2, 3.3});
  EXPECT_EQ(stalls_of(record).count, 1U);
  EXPECT_NEAR(stalls_of(record).seconds, 7, 1e-12);
  EXPECT_GT(*percentile_by_round(record, 1)[3], 8) << "a stall is part of the tail";
}

TEST(PassSecondsByRound, ARoundThatIsSlowAsAWholeIsNoStall) {
  record::Record record = three_rounds();
  for (std::size_t i = 8; i < 16; ++i) record.samples_s[i] *= 5;
  record.rounds[1].pass_s *= 5;
  expect_values(pass_seconds_by_round(record), {3, 21, 3.3});
  EXPECT_EQ(stalls_of(record).count, 0U);
}

TEST(PassSecondsByRound, WhatAFileCannotMeanIsLeftOut) {
  record::Record record = three_rounds();
  record.rounds[0].pass_s = -1;
  record.rounds[1].index = std::numeric_limits<std::uint64_t>::max();
  record.samples_s[20] = std::numeric_limits<double>::quiet_NaN();
  const RoundValues values = pass_seconds_by_round(record);
  ASSERT_EQ(values.size(), 5U);
  EXPECT_FALSE(values[2] || values[3]);
  EXPECT_NEAR(*values[4], 3.3, 1e-12);
  EXPECT_FALSE(percentile_by_round(record, 0.5).size() > 4) << "the third holds what is no number";
  EXPECT_EQ(stalls_of(record).count, 0U);
}

}  // namespace
}  // namespace breakeven::measure
