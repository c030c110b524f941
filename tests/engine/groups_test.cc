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

// Multiply-adds of a text, layer by layer and row by row.
double work_of(const model::EncoderPlan& plan, std::size_t rows) {
  const auto hidden = double(plan.hidden);
  const bool gated = plan.form.ffn == ops::EncoderForm::Ffn::gated;
  double work = 0;
  for (std::size_t layer = 0; layer < plan.layers; ++layer) {
    const std::size_t window = plan.scopes.empty() ? 0 : plan.scopes[layer].window;
    const std::size_t seen = window == 0 ? rows : std::min(rows, 2 * window + 1);
    work +=
        double(rows) * (4 * hidden * hidden + (gated ? 3 : 2) * hidden * double(plan.intermediate) +
                        2 * hidden * double(seen));
  }
  return work;
}

TEST(TextCost, IsTheTextsWorkWithAndWithoutWindows) {
  const auto bert =
      model::parse_plan(R"({"model_type": "bert", "vocab_size": 100})", "config.json");
  const auto modern = model::parse_plan(
      R"({"model_type": "modernbert", "vocab_size": 50368, "pad_token_id": 50283})", "config.json");
  for (const auto& plan : {bert, modern}) {
    ASSERT_TRUE(plan) << plan.error().to_string();
    const TextCost cost = text_cost_of(*plan);
    for (const std::uint32_t rows : {10U, 129U, 512U, 8192U}) {
      EXPECT_NEAR(cost(rows) / cost(1), work_of(*plan, rows) / work_of(*plan, 1),
                  0.001 * cost(rows));
    }
  }
  EXPECT_DOUBLE_EQ(text_cost_of(*bert)(512), TextCost{}(512));
  EXPECT_LT(text_cost_of(*modern)(8192), 16000);  // 28,760 if all layers saw all keys
}

// One text of 8,192 rows and 32 of 512: without windows the long one costs as much as 48 of them,
// with ModernBERT's as much as 28.
TEST(Groups, AreBalancedByTheCostOfTheirModel) {
  std::vector<std::uint32_t> lengths(32, 512);
  lengths.push_back(8192);
  GroupPlanner planner;
  Groups groups;
  const auto beside_the_long_one = [&](const TextCost& cost) {
    groups.clear();
    planner.cut(lengths, 0, 100000, 2, groups, cost);
    const auto first = groups.members(0);
    const bool there = std::ranges::find(first, 32U) != first.end();
    return groups.members(there ? 0 : 1).size() - 1;
  };
  EXPECT_EQ(beside_the_long_one({.keys = 3264}), 0U);
  EXPECT_EQ(beside_the_long_one({.keys = 3264, .near = 14.0 / 22, .seen = 129}), 2U);
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
