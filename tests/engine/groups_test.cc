// How a batch is cut into groups: pure index work.
#include "engine/groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "engine/decode.h"

namespace breakeven::engine {
namespace {

TEST(Groups, EverySequenceIsInExactlyOneGroupAndNoGroupIsOverItsBudget) {
  std::mt19937 random(1);
  GroupPlanner planner;
  Groups groups;
  for (int round = 0; round < 500; ++round) {
    std::vector<std::uint32_t> lengths(1 + random() % 70);
    for (auto& length : lengths) length = static_cast<std::uint32_t>(1 + random() % 512);
    const std::size_t budget = 1 + random() % 3000;
    const std::size_t wanted = 1 + random() % 8;
    groups.clear();
    planner.cut(lengths, 0, budget, wanted, groups);

    std::vector<int> seen(lengths.size(), 0);
    ASSERT_EQ(groups.first.size(), groups.count() + 1);
    ASSERT_EQ(groups.first.back(), lengths.size());
    for (std::size_t group = 0; group < groups.count(); ++group) {
      EXPECT_FALSE(groups.members(group).empty());
      std::size_t rows = 0;
      for (const std::uint32_t sequence : groups.members(group)) {
        ++seen[sequence];
        rows += lengths[sequence];
      }
      EXPECT_EQ(rows, groups.rows[group]);
      EXPECT_TRUE(rows <= budget || groups.members(group).size() == 1)
          << rows << " over " << budget;
    }
    EXPECT_THAT(seen, ::testing::Each(1));
    EXPECT_GE(groups.count(), std::min(wanted, lengths.size()));
  }
}

TEST(Groups, TwoWorkersGetNearlyTheSameWork) {
  std::mt19937 random(2);
  GroupPlanner planner;
  Groups groups;
  for (int round = 0; round < 100; ++round) {
    std::vector<std::uint32_t> lengths(32);
    for (auto& length : lengths) length = static_cast<std::uint32_t>(30 + random() % 480);
    groups.clear();
    planner.cut(lengths, 0, 100000, 2, groups);
    ASSERT_EQ(groups.count(), 2U);
    const double total = std::accumulate(lengths.begin(), lengths.end(), 0.0);
    EXPECT_NEAR(double(groups.rows[0]), total / 2, 0.03 * total);
  }
}

TEST(Groups, ASequenceOverTheBudgetStandsAlone) {
  GroupPlanner planner;
  Groups groups;
  groups.clear();
  planner.cut(std::vector<std::uint32_t>{600, 10, 10}, 0, 100, 1, groups);
  ASSERT_EQ(groups.count(), 3U);  // never more groups than sequences
  for (std::size_t group = 0; group < groups.count(); ++group) {
    const auto members = groups.members(group);
    if (std::ranges::find(members, 0U) != members.end()) {
      EXPECT_EQ(members.size(), 1U);
    }
  }
}

TEST(Groups, ASecondBatchFollowsTheFirst) {
  GroupPlanner planner;
  Groups groups;
  groups.clear();
  planner.cut(std::vector<std::uint32_t>{10, 30, 20}, 0, 1000, 2, groups);
  planner.cut(std::vector<std::uint32_t>{5, 6}, 3, 1000, 1, groups);
  ASSERT_EQ(groups.count(), 3U);
  EXPECT_THAT(groups.members(0), ::testing::ElementsAre(1));
  EXPECT_THAT(groups.members(1), ::testing::ElementsAre(0, 2));
  EXPECT_THAT(groups.members(2), ::testing::ElementsAre(3, 4));
  EXPECT_EQ(groups.rows[2], 11U);
}

TEST(Decode, EveryFunctionHasItsOwnScore) {
  const std::vector<float> logits = {1.0F, 3.0F, -1.0F};
  const Decoded softmax = decode(logits, ScoreFunction::softmax);
  EXPECT_EQ(softmax.label, 1U);
  EXPECT_NEAR(softmax.score, 0.866813, 1e-5);  // e^3 / (e^1 + e^3 + e^-1)
  const Decoded sigmoid = decode(logits, ScoreFunction::sigmoid);
  EXPECT_EQ(sigmoid.label, 1U);
  EXPECT_NEAR(sigmoid.score, 0.952574, 1e-5);  // 1 / (1 + e^-3)
  const Decoded none = decode(logits, ScoreFunction::none);
  EXPECT_EQ(none.label, 1U);
  EXPECT_EQ(none.score, 3.0F);
  std::vector<float> scores(3);
  score(logits, ScoreFunction::softmax, scores);
  EXPECT_NEAR(scores[0], 0.117310, 1e-5);
  EXPECT_EQ(scores[1], softmax.score);
}

TEST(Decode, HugeLogitsDoNotOverflow) {
  EXPECT_FLOAT_EQ(decode(std::vector<float>{1e30F, -1e30F}, ScoreFunction::softmax).score, 1.0F);
  EXPECT_FLOAT_EQ(decode(std::vector<float>{-1e30F}, ScoreFunction::sigmoid).score, 0.0F);
}

TEST(Decode, OfEqualScoresTheFirstWins) {
  // In fp32 both sigmoids are 1: the pipeline, which compares scores, takes the first.
  const Decoded best = decode(std::vector<float>{-3.0F, 20.0F, 30.0F}, ScoreFunction::sigmoid);
  EXPECT_EQ(best.label, 1U);
  EXPECT_EQ(best.score, 1.0F);
}

}  // namespace
}  // namespace breakeven::engine
