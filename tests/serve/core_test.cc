// serve::Core step by step.
#include "serve/core.h"

#include <gtest/gtest.h>

#include <limits>

namespace breakeven::serve {
namespace {

// 1 ms a batch and 10 us a token.
std::vector<decide::Point> anchors() {
  std::vector<decide::Point> points;
  for (const double s : {10.0, 100.0, 400.0}) {
    for (const double texts : {1.0, 8.0}) {
      points.push_back({{texts, texts * s, texts * s * s}, 1e-3 + 1e-5 * texts * s});
    }
  }
  return points;
}

constexpr double kForever = std::numeric_limits<double>::infinity();

struct CoreTest : ::testing::Test {
  Core make(std::size_t lanes = 1, CoreLimits limits = {}) const {
    return Core(std::vector<std::vector<decide::Point>>(lanes, anchors()), limits);
  }
  Admission ask(Core& core, double now_s, std::uint64_t id, std::vector<std::uint32_t> tokens,
                double deadline_s = kForever) const {
    return core.offer(now_s, {id, tokens, 100, deadline_s});
  }
};

TEST_F(CoreTest, PromisesTheEndOfWhatWaitsBefore) {
  Core core = make();
  EXPECT_NEAR(ask(core, 0, 1, {100}).finish_s, 0.002, 1e-6);
  ASSERT_TRUE(core.start(0));
  // The first one runs; the second comes after it, the third shares the second's batch.
  EXPECT_NEAR(ask(core, 0, 2, {100}).finish_s, 0.004, 1e-6);
  EXPECT_NEAR(ask(core, 0, 3, {100}).finish_s, 0.005, 1e-6);
  const Admission refused = ask(core, 0, 4, {100}, 0.0055);
  EXPECT_EQ(refused.refused, Refusal::late);
  EXPECT_NEAR(refused.finish_s, 0.007, 1e-6);  // in a batch of its own
  EXPECT_NEAR(refused.retry_after_s, 0.0015, 1e-6);
  EXPECT_EQ(ask(core, 0, 5, {100}, 0.001).refused, Refusal::never);
}

TEST_F(CoreTest, NobodyJoinsABatchWhoseMembersWouldBeLate) {
  Core core = make();
  ask(core, 0, 1, {100});
  ASSERT_TRUE(core.start(0));
  ask(core, 0, 2, {100}, 0.0045);
  // In the batch of 2 it would end at 0.005, and 2 with it: it gets a batch of its own.
  EXPECT_NEAR(ask(core, 0, 3, {100}).finish_s, 0.006, 1e-6);
  core.finished(0.002, 0, true);
  const auto batch = core.start(0.002);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->parts.size(), 1U);
  EXPECT_EQ(batch->parts[0].request, 2U);
}

TEST_F(CoreTest, ABatchKeepsToTokensAndTexts) {
  CoreLimits limits;
  limits.batch = {.tokens = 250, .texts = 3};
  Core core = make(1, limits);
  ask(core, 0, 1, {100, 100, 100, 10, 10, 10, 10, 400});
  std::vector<std::size_t> sizes;
  for (double now_s = 0; const auto batch = core.start(now_s); now_s += 1) {
    sizes.push_back(batch->parts.size());
    core.finished(now_s, 0, true);
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{2, 3, 2, 1}));
  EXPECT_EQ(core.take_ended().size(), 1U);
}

TEST_F(CoreTest, AFailedBatchIsTriedTextByText) {
  Core core = make();
  ask(core, 0, 1, {10});
  ask(core, 0, 2, {10});
  ASSERT_EQ(core.start(0)->parts.size(), 2U);
  core.finished(0.1, 0, false);
  auto batch = core.start(0.1);
  ASSERT_EQ(batch->parts.size(), 1U);
  EXPECT_EQ(batch->parts[0].request, 1U);
  core.finished(0.2, 0, false);
  batch = core.start(0.2);
  EXPECT_EQ(batch->parts[0].request, 2U);
  core.finished(0.3, 0, true);
  const auto ended = core.take_ended();
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(ended[0].outcome, Outcome::failed);
  EXPECT_EQ(ended[1].outcome, Outcome::answered);
  EXPECT_FALSE(core.broken(0));
}

TEST_F(CoreTest, WithoutAWorkingLaneNobodyWaits) {
  Core core = make();
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ask(core, 0, id, {10});
    ASSERT_TRUE(core.start(0));
    core.finished(0, 0, false);
  }
  EXPECT_FALSE(core.ready());
  EXPECT_EQ(core.take_ended().size(), 3U);
  EXPECT_EQ(ask(core, 0, 4, {10}).refused, Refusal::no_lane);
}

TEST_F(CoreTest, AnotherLaneTakesOverFromABrokenOne) {
  Core core = make(2);
  std::uint64_t id = 0;
  ask(core, 0, ++id, {10});  // lane 0
  ASSERT_EQ(core.start(0)->lane, 0U);
  ask(core, 0, ++id, {400});  // lane 1
  ASSERT_EQ(core.start(0)->lane, 1U);
  for (unsigned i = 0; i < Core::kLaneFailures; ++i) {
    core.finished(0, 0, false);
    if (i + 1 == Core::kLaneFailures) break;
    ask(core, 0, ++id, {10});
    ASSERT_EQ(core.start(0)->lane, 0U);
  }
  EXPECT_TRUE(core.broken(0));
  ask(core, 0, ++id, {10});
  EXPECT_FALSE(core.start(0));  // lane 1 still works
  core.finished(0.01, 1, true);
  EXPECT_EQ(core.start(0.01)->lane, 1U);
}

// Batches of one text that fail until the lane is broken.
void break_lane(Core& core, std::uint64_t first_id) {
  for (unsigned i = 0; i < Core::kLaneFailures; ++i) {
    const std::uint32_t tokens[] = {10};
    ASSERT_FALSE(core.offer(0, {first_id + i, tokens, 100, kForever}).refused);
    ASSERT_TRUE(core.start(0));
    core.finished(0, 0, false);
  }
}

TEST_F(CoreTest, ABrokenLaneIsMadeAnewOnceUntilItComputesAgain) {
  Core core = make();
  EXPECT_FALSE(core.take_repair());
  for (std::uint64_t round = 0; round < 2; ++round) {
    break_lane(core, 1 + 10 * round);
    EXPECT_EQ(core.take_repair(), 0U);
    EXPECT_FALSE(core.take_repair());  // named once
    EXPECT_FALSE(core.ready());
    EXPECT_FALSE(core.hopeless());
    EXPECT_EQ(ask(core, 0, 5 + 10 * round, {10}).refused, Refusal::no_lane);
    core.repaired(0, true);
    EXPECT_TRUE(core.ready());
    ask(core, 0, 6 + 10 * round, {10});
    ASSERT_TRUE(core.start(0));
    core.finished(0, 0, true);
  }
  EXPECT_EQ(core.counters().ended[0], 2U);
  // The third time it breaks as soon as it is new.
  break_lane(core, 100);
  EXPECT_TRUE(core.take_repair());
  core.repaired(0, true);
  break_lane(core, 110);
  EXPECT_FALSE(core.take_repair());
  EXPECT_TRUE(core.hopeless());
}

TEST_F(CoreTest, ALaneThatCannotBeMadeAnewStaysBroken) {
  Core core = make();
  break_lane(core, 1);
  EXPECT_TRUE(core.take_repair());
  core.repaired(0, false);
  EXPECT_FALSE(core.ready());
  EXPECT_TRUE(core.hopeless());
  EXPECT_FALSE(core.take_repair());
}

TEST_F(CoreTest, AFreeLaneTakesWhatAnotherOneIsTooLateFor) {
  Core core = make(2);
  ask(core, 0, 1, {400});
  ask(core, 0, 2, {400});
  ASSERT_EQ(core.start(0)->lane, 0U);
  ASSERT_EQ(core.start(0)->lane, 1U);
  ask(core, 0, 3, {400});
  const std::size_t promised = ask(core, 0, 4, {400}).lane;
  // The lane that it waits for stalls; the other one becomes free twice.
  const std::size_t other = 1 - promised;
  core.finished(0.005, other, true);
  const auto own = core.start(0.005);
  ASSERT_TRUE(own);
  core.finished(0.2, other, true);
  const auto taken = core.start(0.2);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->lane, other);
}

TEST_F(CoreTest, LeavingFreesAndIsNeverComputed) {
  Core core = make();
  ask(core, 0, 1, {10});
  ASSERT_TRUE(core.start(0));
  ask(core, 0, 2, {10, 10});
  core.cancel(2);
  core.cancel(1);  // runs
  core.cancel(77);
  EXPECT_EQ(core.texts(), 0U);
  core.finished(1, 0, true);
  EXPECT_FALSE(core.start(1));
  EXPECT_TRUE(core.take_ended().empty());
  EXPECT_EQ(core.counters().cancelled, 2U);
}

TEST_F(CoreTest, ExpiresWhatAStallMadeLate) {
  Core core = make();
  ask(core, 0, 1, {10});
  ASSERT_TRUE(core.start(0));
  ask(core, 0, 2, {10}, 0.5);
  ask(core, 0, 3, {10}, 2);
  core.tick(0.4);
  EXPECT_TRUE(core.take_ended().empty());
  core.tick(0.6);
  auto ended = core.take_ended();
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].outcome, Outcome::expired);
  core.finished(1.9999, 0, true);
  EXPECT_FALSE(core.start(1.9999));  // 3 cannot be in time any more
  ended = core.take_ended();
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(ended[1].outcome, Outcome::expired);
}

TEST_F(CoreTest, MemoryIsBoundedInTextsAndBytes) {
  CoreLimits limits;
  limits.texts = 3;
  limits.bytes = 250;
  Core core = make(1, limits);
  EXPECT_FALSE(ask(core, 0, 1, {10, 10}).refused);
  EXPECT_EQ(ask(core, 0, 2, {10, 10}).refused, Refusal::full);
  EXPECT_GT(core.offer(0, {3, std::vector<std::uint32_t>{10}, 151, kForever}).retry_after_s, 0);
  EXPECT_FALSE(core.offer(0, {4, std::vector<std::uint32_t>{10}, 150, kForever}).refused);
}

TEST_F(CoreTest, ADrainAnswersAllThatItCanInItsTime) {
  Core core = make();
  ask(core, 0, 1, {10});
  ASSERT_TRUE(core.start(0));
  ask(core, 0, 2, {10});
  core.drain(5);
  EXPECT_EQ(ask(core, 0, 3, {10}).refused, Refusal::draining);
  core.finished(1, 0, true);
  ASSERT_TRUE(core.start(1));
  core.drain(9);  // a later end changes nothing
  core.drain(2);
  core.tick(1.9);
  EXPECT_EQ(core.requests(), 1U);
  core.tick(2);
  EXPECT_EQ(core.requests(), 0U);
  const auto ended = core.take_ended();
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(ended[1].outcome, Outcome::drained);
  core.finished(3, 0, true);  // the lane was not told
}

TEST(TokensOfBytes, LearnsAndKeepsToTheLimits) {
  TokensOfBytes tokens(512);
  EXPECT_EQ(tokens.estimate(0), 2U);
  EXPECT_EQ(tokens.estimate(400), 102U);
  EXPECT_EQ(tokens.estimate(1 << 20), 512U);
  for (int i = 0; i < 1000; ++i) tokens.observe(100, 102);  // a token a byte
  EXPECT_NEAR(tokens.estimate(200), 202, 2);
}

}  // namespace
}  // namespace breakeven::serve
