#include "decide/queue_model.h"

#include <gtest/gtest.h>

#include "testing/md1.h"

namespace breakeven::decide {
namespace {

using breakeven::testing::Md1;

Queue constant_server(double batch_s, std::uint64_t max_batch, double max_wait_s = 0,
                      double measured_per_s = 0) {
  Server server;
  server.lengths = {100};
  server.batch_s = [batch_s](std::span<const std::uint32_t>) { return batch_s; };
  server.max_batch = max_batch;
  server.max_wait_s = max_wait_s;
  return Queue(std::move(server), measured_per_s);
}

TEST(QueueModel, AgreesWithTheClosedFormOfOneServer) {
  const Queue queue = constant_server(0.01, 1);
  for (const double busy : {0.3, 0.5, 0.7, 0.85, 0.9, 0.95}) {
    const Md1 exact(busy, 0.01);
    const auto response = queue.respond(busy / 0.01);
    ASSERT_TRUE(response) << busy;
    EXPECT_NEAR(response->p99_s / exact.percentile_s(0.99), 1, 0.05) << busy;
    if (busy < 0.8) {
      EXPECT_NEAR(response->busy_share, busy, 0.03) << busy;
    }
  }
}

TEST(QueueModel, TheHighestRateIsThatOfTheClosedForm) {
  const Queue queue = constant_server(0.01, 1);
  for (const double limit_s : {0.03, 0.05, 0.1, 0.172}) {
    const double exact = Md1::highest_rate(0.01, limit_s, 0.99);
    const QueueRate rate = queue.highest_rate(limit_s);
    EXPECT_NEAR(rate.per_s, exact, 1) << limit_s;
    EXPECT_LE(rate.low, exact) << limit_s;
    EXPECT_GE(rate.high, exact) << limit_s;
    EXPECT_FALSE(rate.or_more) << limit_s;
  }
}

TEST(QueueModel, BeyondWhatIsKnownItSaysOrMore) {
  const Queue queue = constant_server(0.01, 1);
  for (const double limit_s : {0.5, 2.0}) {
    ASSERT_GT(Md1::highest_rate(0.01, limit_s, 0.99), 95);
    const QueueRate rate = queue.highest_rate(limit_s);
    EXPECT_NEAR(rate.per_s, 95, 0.1);
    EXPECT_TRUE(rate.or_more);
    EXPECT_NEAR(rate.high, 100, 0.1);  // the machine does no more
  }
  EXPECT_FALSE(queue.respond(96));
}

TEST(QueueModel, NoRateIsAboveWhatTheMachineWasSeenToDo) {
  // It was seen to answer 60/s, and 40 to 90/s in single rounds; the server thinks that it is 100.
  const Queue queue = constant_server(0.01, 1, 0, 60);
  EXPECT_NEAR(queue.full_rate(), 60, 1e-9);
  for (const double limit_s : {0.03, 0.1, 10.0}) {
    const QueueRate rate = queue.highest_rate(limit_s, 60.0 / 90, 60.0 / 40);
    EXPECT_LE(rate.per_s, 60) << limit_s;
    EXPECT_LE(rate.high, 90 + 1e-9) << limit_s;
    EXPECT_LE(rate.low / rate.per_s, 40.0 / 60) << limit_s;
    EXPECT_GE(rate.high / rate.per_s, 90.0 / 60) << limit_s;
  }
  // One that was seen to be quicker is not made quicker.
  EXPECT_NEAR(constant_server(0.01, 1, 0, 200).full_rate(), 100, 1e-6);
}

TEST(QueueModel, ALoneRequestWaitsForItsBatchToFill) {
  const auto waits = constant_server(0.01, 8, 0.02).respond(0.01);
  ASSERT_TRUE(waits);
  EXPECT_NEAR(waits->p50_s, 0.03, 1e-9);
  const auto goes = constant_server(0.01, 8).respond(0.01);
  EXPECT_NEAR(goes->p50_s, 0.01, 1e-9);
}

TEST(QueueModel, BatchesFillUnderLoad) {
  const Queue queue = constant_server(0.01, 8);
  EXPECT_NEAR(queue.full_rate(), 800, 1);
  const auto light = queue.respond(10);
  const auto heavy = queue.respond(700);
  ASSERT_TRUE(light && heavy);
  EXPECT_LT(light->mean_batch, 1.2);
  EXPECT_GT(heavy->mean_batch, 5);
  EXPECT_GT(heavy->p99_s, light->p99_s);
}

TEST(QueueModel, TheHighestRateKeepsTheLimitAndAHigherOneDoesNot) {
  const Queue queue = constant_server(0.01, 4, 0.002);
  const QueueRate rate = queue.highest_rate(0.04);
  ASSERT_GT(rate.per_s, 0);
  ASSERT_LT(rate.per_s, 400);
  EXPECT_LE(queue.respond(rate.per_s)->p99_s, 0.04);
  EXPECT_GT(queue.respond(rate.per_s + 2)->p99_s, 0.04);
  const QueueRate unsure = queue.highest_rate(0.04, 0.8, 1.2);
  EXPECT_EQ(unsure.per_s, rate.per_s);
  EXPECT_LT(unsure.low, rate.low);
  EXPECT_GT(unsure.high, rate.high);
  EXPECT_LT(rate.low, rate.per_s);
  EXPECT_GT(rate.high, rate.per_s);
}

TEST(QueueModel, AnImpossibleLimitHasNoRate) {
  EXPECT_EQ(constant_server(0.01, 1).highest_rate(0.009).per_s, 0);
  // Alone, a request waits for company that does not come.
  EXPECT_EQ(constant_server(0.01, 8, 0.1).highest_rate(0.05).per_s, 0);
}

TEST(QueueModel, SlowerTimesAreTheSameQueueSeenSlower) {
  // A wait that plays no part keeps the queue from reckoning one time factor from another.
  const Queue reckoned = constant_server(0.01, 8);
  const Queue simulated = constant_server(0.01, 8, 1e-12);
  for (const double limit : {0.012, 0.02, 0.05, 0.2}) {
    const QueueRate a = reckoned.highest_rate(limit, 0.7, 1.3);
    const QueueRate b = simulated.highest_rate(limit, 0.7, 1.3);
    EXPECT_NEAR(a.low, b.low, 1e-6) << limit;
    EXPECT_NEAR(a.high, b.high, 1e-6) << limit;
  }
}

TEST(QueueModel, TheSameQuestionGetsTheSameAnswer) {
  const Queue queue = constant_server(0.01, 4, 0.002);
  EXPECT_EQ(queue.respond(200)->p99_s, queue.respond(200)->p99_s);
  EXPECT_EQ(queue.highest_rate(0.05).low, queue.highest_rate(0.05).low);
}

}  // namespace
}  // namespace breakeven::decide
