#include "advise/queue_model.h"

#include <gtest/gtest.h>

#include <cmath>

namespace breakeven::advise {
namespace {

Queue constant_server(double batch_s, std::uint64_t max_batch, double max_wait_s = 0) {
  Server server;
  server.lengths = {100};
  server.batch_s = [batch_s](std::span<const std::uint32_t>) { return batch_s; };
  server.max_batch = max_batch;
  server.max_wait_s = max_wait_s;
  return Queue(std::move(server));
}

// M/D/1: the waiting time's distribution is known in closed form (Erlang 1909):
// P(wait <= t) = (1 - ρ) Σ_{k=0}^{⌊t/D⌋} (λ(kD - t))^k / k! · e^{-λ(kD - t)}.
double md1_wait_at_most(double rate, double service, double t) {
  double sum = 0;
  double factorial = 1;
  for (int k = 0; k * service <= t; ++k) {
    if (k > 0) factorial *= k;
    const double x = rate * (k * service - t);
    sum += std::pow(x, k) / factorial * std::exp(-x);
  }
  return (1 - rate * service) * sum;
}

TEST(QueueModel, AgreesWithTheClosedFormOfOneServer) {
  const Queue queue = constant_server(0.01, 1);
  for (const double busy : {0.3, 0.5, 0.7}) {
    const double rate = busy / 0.01;
    const auto response = queue.respond(rate);
    ASSERT_TRUE(response);
    EXPECT_NEAR(response->busy_share, busy, 0.03);
    // The closed form at the simulated percentiles gives back their shares.
    // (Below a load of 0.5 the median request does not wait at all.)
    if (busy > 0.5) {
      EXPECT_NEAR(md1_wait_at_most(rate, 0.01, response->p50_s - 0.01), 0.5, 0.05) << busy;
    }
    EXPECT_NEAR(md1_wait_at_most(rate, 0.01, response->p99_s - 0.01), 0.99, 0.006) << busy;
  }
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

TEST(QueueModel, WhatCannotKeepUpHasNoPercentile) {
  EXPECT_FALSE(constant_server(0.01, 1).respond(100));
  EXPECT_FALSE(constant_server(0.01, 1).respond(1000));
}

TEST(QueueModel, TheHighestRateKeepsTheLimitAndAHigherOneDoesNot) {
  const Queue queue = constant_server(0.01, 1);
  const double rate = queue.highest_rate(0.04);
  ASSERT_GT(rate, 0);
  ASSERT_LT(rate, 100);
  EXPECT_LE(queue.respond(rate)->p99_s, 0.04);
  EXPECT_GT(queue.respond(rate + 0.5)->p99_s, 0.04);
  EXPECT_LT(queue.highest_rate(0.04, 1.2), rate);
  EXPECT_GT(queue.highest_rate(0.04, 0.8), rate);
}

TEST(QueueModel, AnImpossibleLimitHasNoRate) {
  EXPECT_EQ(constant_server(0.01, 1).highest_rate(0.009), 0);
  // Alone, a request waits for company that does not come.
  EXPECT_EQ(constant_server(0.01, 8, 0.1).highest_rate(0.05), 0);
}

TEST(QueueModel, SlowerTimesAreTheSameQueueSeenSlower) {
  // A wait that plays no part keeps the queue from reckoning one time factor from another.
  const Queue reckoned = constant_server(0.01, 8);
  const Queue simulated = constant_server(0.01, 8, 1e-12);
  for (const double factor : {0.7, 1.0, 1.3}) {
    for (const double limit : {0.012, 0.02, 0.05, 0.2}) {
      EXPECT_NEAR(reckoned.highest_rate(limit, factor), simulated.highest_rate(limit, factor), 1e-6)
          << factor << " " << limit;
    }
  }
}

TEST(QueueModel, TheSameQuestionGetsTheSameAnswer) {
  const Queue queue = constant_server(0.01, 4, 0.002);
  EXPECT_EQ(queue.respond(200)->p99_s, queue.respond(200)->p99_s);
  EXPECT_EQ(queue.highest_rate(0.05), queue.highest_rate(0.05));
}

}  // namespace
}  // namespace breakeven::advise
