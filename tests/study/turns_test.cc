#include "study/turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "measure/thresholds.h"

namespace breakeven::study {
namespace {

using ::testing::ElementsAre;

record::Record piece(double pass_s, std::uint64_t batch = 1) {
  record::Record record;
  record.cell.batch = batch;
  record.texts.count = 10;
  record.texts.mean_tokens = 100;
  record.texts.real_tokens = 1000;
  record.passes = 2;
  record.samples_s = {pass_s / 2, pass_s / 2, pass_s / 2, pass_s / 2};
  record.sample_positions = {0, 1, 0, 1};
  record.rounds = {{0, 1, 1, pass_s, 0.005}, {1, 2, 1, pass_s, 0.005}};
  record.sample_rounds = {0, 0, 1, 1};
  record.reviews_per_s = {10 / pass_s, record::Interval{9 / pass_s, 11 / pass_s, 0.95}, 2};
  record.latency_s["p50"] = {pass_s / 2, std::nullopt, 4};
  record.spread = 0.01;
  return record;
}

void spoil(record::Record& record, const std::string& code, double value,
           record::Severity severity) {
  record.reasons.push_back({code, code, value, 0.01, severity});
}

TEST(Turns, EachBeginsHalfOfThemInRandomOrder) {
  std::set<std::vector<bool>> seen;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const std::vector<bool> order = turn_order(8, seed);
    EXPECT_EQ(std::count(order.begin(), order.end(), true), 4);
    EXPECT_EQ(order, turn_order(8, seed));
    seen.insert(order);
  }
  EXPECT_GT(seen.size(), 20U);
  EXPECT_EQ(turn_order(3, 1).size(), 3U);
}

TEST(Turns, EachIsARoundAndRatesAreOverThem) {
  const std::vector<std::vector<record::Record>> blocks = {{piece(1), piece(5, 8)},
                                                           {piece(5, 8), piece(3)}};
  const auto merged = merge_turns(blocks);
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_THAT(merged[0].samples_s, ElementsAre(0.5, 0.5, 0.5, 0.5, 1.5, 1.5, 1.5, 1.5));
  EXPECT_THAT(merged[0].sample_positions, ElementsAre(0, 1, 0, 1, 0, 1, 0, 1));
  EXPECT_EQ(merged[0].passes, 4U);
  EXPECT_THAT(merged[0].sample_rounds, ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
  ASSERT_EQ(merged[0].rounds.size(), 2U);
  EXPECT_EQ(merged[0].rounds[1].index, 1U);
  EXPECT_EQ(merged[0].rounds[1].passes, 2U);
  EXPECT_DOUBLE_EQ(merged[0].rounds[1].pass_s, 3);
  EXPECT_NEAR(merged[0].reviews_per_s.value, 10 / std::sqrt(1 * 3), 1e-12);
  EXPECT_NEAR(merged[0].tokens_per_s.value, 1000 / std::sqrt(1 * 3), 1e-9);
  EXPECT_FALSE(merged[0].reviews_per_s.interval) << "two turns";
  EXPECT_TRUE(merged[0].latency_s.empty());
  EXPECT_FALSE(merged[0].spread);
  EXPECT_EQ(merged[1].cell.batch, 8U);
  EXPECT_EQ(merged[1].passes, 4U);
}

TEST(Turns, AnInvalidTurnIsLeftOutUnlessAllAre) {
  record::Record bad = piece(100);
  spoil(bad, "foreign-cpu", 0.5, record::Severity::invalid);
  record::Record noisy = piece(1);
  spoil(noisy, "steal", 0.06, record::Severity::note);
  record::Record noisier = piece(1);
  spoil(noisier, "steal", 0.09, record::Severity::note);
  for (const auto& blocks : {std::vector<std::vector<record::Record>>{{bad}, {noisy}, {noisier}},
                             {{noisy}, {bad}, {noisier}}}) {
    const auto merged = merge_turns(blocks);
    ASSERT_EQ(merged.size(), 1U);
    EXPECT_EQ(merged[0].passes, 4U);
    EXPECT_EQ(merged[0].rounds.back().index, 2U) << "the number of its turn";
    EXPECT_FALSE(measure::is_invalid(merged[0]));
    ASSERT_EQ(merged[0].reasons.size(), 1U);
    EXPECT_EQ(merged[0].reasons[0].value, 0.09);
  }
  const auto none = merge_turns(std::vector<std::vector<record::Record>>{{bad}, {bad}});
  ASSERT_EQ(none.size(), 1U);
  EXPECT_TRUE(measure::is_invalid(none[0]));
}

TEST(Turns, OnlyCellsAreMerged) {
  record::Record scaling = piece(1);
  scaling.kind = record::Kind::scaling;
  EXPECT_TRUE(merge_turns(std::vector<std::vector<record::Record>>{{scaling}}).empty());
}

}  // namespace
}  // namespace breakeven::study
