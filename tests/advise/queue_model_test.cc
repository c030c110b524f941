#include "advise/queue_model.h"

#include <gtest/gtest.h>

#include <cmath>

namespace breakeven::advise {
namespace {

Server constant_server(double batch_s, std::uint64_t max_batch, double max_wait_s = 0) {
  Server server;
  server.lengths = {100};
  server.batch_s = [batch_s](std::span<const std::uint32_t>) { return batch_s; };
  server.max_batch = max_batch;
  server.max_wait_s = max_wait_s;
  return server;
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
  const Server server = constant_server(0.01, 1);
  for (const double busy : {0.3, 0.5, 0.7}) {
    const double rate = busy / 0.01;
    const auto response = respond(server, rate);
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
  const auto waits = respond(constant_server(0.01, 8, 0.02), 0.01);
  ASSERT_TRUE(waits);
  EXPECT_NEAR(waits->p50_s, 0.03, 1e-9);
  const auto goes = respond(constant_server(0.01, 8), 0.01);
  EXPECT_NEAR(goes->p50_s, 0.01, 1e-9);
}

TEST(QueueModel, BatchesFillUnderLoad) {
  const Server server = constant_server(0.01, 8);
  EXPECT_NEAR(full_rate(server), 800, 1);
  const auto light = respond(server, 10);
  const auto heavy = respond(server, 700);
  ASSERT_TRUE(light && heavy);
  EXPECT_LT(light->mean_batch, 1.2);
  EXPECT_GT(heavy->mean_batch, 5);
  EXPECT_GT(heavy->p99_s, light->p99_s);
}

TEST(QueueModel, WhatCannotKeepUpHasNoPercentile) {
  EXPECT_FALSE(respond(constant_server(0.01, 1), 100));
  EXPECT_FALSE(respond(constant_server(0.01, 1), 1000));
}

TEST(QueueModel, TheHighestRateKeepsTheLimitAndAHigherOneDoesNot) {
  const Server server = constant_server(0.01, 1);
  const double rate = highest_rate(server, 0.04);
  ASSERT_GT(rate, 0);
  ASSERT_LT(rate, 100);
  EXPECT_LE(respond(server, rate)->p99_s, 0.04);
  EXPECT_GT(respond(server, rate + 0.5)->p99_s, 0.04);
  EXPECT_LT(highest_rate(server, 0.04, 1.2), rate);
  EXPECT_GT(highest_rate(server, 0.04, 0.8), rate);
}

TEST(QueueModel, AnImpossibleLimitHasNoRate) {
  EXPECT_EQ(highest_rate(constant_server(0.01, 1), 0.009), 0);
  // Alone, a request waits for company that does not come.
  EXPECT_EQ(highest_rate(constant_server(0.01, 8, 0.1), 0.05), 0);
}

TEST(QueueModel, TheSameQuestionGetsTheSameAnswer) {
  const Server server = constant_server(0.01, 4, 0.002);
  EXPECT_EQ(respond(server, 200)->p99_s, respond(server, 200)->p99_s);
  EXPECT_EQ(highest_rate(server, 0.05), highest_rate(server, 0.05));
}

}  // namespace
}  // namespace breakeven::advise
