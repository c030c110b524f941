// The rule of when a batch starts, by hand.
#include "base/batch_rule.h"

#include <gtest/gtest.h>

#include <vector>

namespace breakeven {
namespace {

const std::vector<double> kCome = {0.0, 1.0, 2.0, 3.0, 10.0};

double start_s(const BatchRule& rule, std::size_t first, double free_s) {
  return rule.start_s(
      first, kCome.size(), [](std::size_t i) { return kCome[i]; }, free_s);
}

std::size_t end_of(const BatchRule& rule, std::size_t first, double start_s) {
  return rule.end_of(
      first, kCome.size(), [](std::size_t i) { return kCome[i]; }, start_s);
}

TEST(BatchRule, ABatchStartsWhenItIsFull) {
  const BatchRule rule{.max_texts = 3, .max_wait_s = 100};
  EXPECT_EQ(start_s(rule, 0, 0), 2.0);
  EXPECT_EQ(end_of(rule, 0, 2.0), 3U);
}

TEST(BatchRule, OrWhenItsFirstRequestHasWaited) {
  const BatchRule rule{.max_texts = 4, .max_wait_s = 1.5};
  EXPECT_EQ(start_s(rule, 0, 0), 1.5);
  EXPECT_EQ(end_of(rule, 0, 1.5), 2U);
}

TEST(BatchRule, ButNeverBeforeTheMachineIsFree) {
  const BatchRule rule{.max_texts = 2, .max_wait_s = 0};
  EXPECT_EQ(start_s(rule, 0, 7.0), 7.0);
  EXPECT_EQ(end_of(rule, 0, 7.0), 2U);  // four have come: two fit
}

TEST(BatchRule, ABatchThatNobodyFillsWaitsItsTime) {
  const BatchRule rule{.max_texts = 3, .max_wait_s = 4};
  EXPECT_EQ(start_s(rule, 3, 0), 7.0);
  EXPECT_EQ(end_of(rule, 3, 7.0), 4U);
  EXPECT_EQ(end_of(rule, 3, 10.0), 5U);
}

TEST(BatchRule, WithoutWaitingARequestThatComesAloneStartsAtOnce) {
  const BatchRule rule{.max_texts = 32, .max_wait_s = 0};
  EXPECT_EQ(start_s(rule, 4, 3.5), 10.0);
  EXPECT_EQ(end_of(rule, 4, 10.0), 5U);
}

}  // namespace
}  // namespace breakeven
