#include "decide/latency_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "decide/latency_study.h"
#include "decide/made_up_records.h"

namespace breakeven::decide {
namespace {

using breakeven::testing::cpu_engine;
using breakeven::testing::cpu_run;
using breakeven::testing::Engine;
using breakeven::testing::made_up;
using breakeven::testing::made_up_lengths;

std::vector<Point> points_of(double a, double b, double c, double noise, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<Point> points;
  for (const std::uint64_t batch : {1U, 4U, 16U, 64U}) {
    for (const Shape& shape : shapes_of(made_up_lengths(), batch, Padding::none, 512)) {
      const double seconds = a + b * shape.tokens + c * shape.squares;
      points.push_back({shape, seconds * std::exp(noise * normal(random))});
    }
  }
  return points;
}

TEST(Shapes, PaddingDecidesWhatIsComputed) {
  const std::vector<std::uint32_t> lengths = {10, 20, 600};
  const Shape packed = shape_of(lengths, Padding::none, 512);
  EXPECT_EQ(packed.texts, 3);
  EXPECT_EQ(packed.tokens, 10 + 20 + 512);
  EXPECT_EQ(packed.squares, 100 + 400 + 512 * 512);
  const Shape longest = shape_of(std::span(lengths).first(2), Padding::longest, 512);
  EXPECT_EQ(longest.tokens, 40);
  EXPECT_EQ(longest.squares, 800);
  EXPECT_EQ(shape_of(std::span(lengths).first(2), Padding::max_length, 512).tokens, 1024);
  const auto shapes = shapes_of(lengths, 2, Padding::none, 512);
  ASSERT_EQ(shapes.size(), 2U);
  EXPECT_EQ(shapes[1].texts, 1);
}

TEST(LatencyModel, FindsTheTermsThatMadeTheTimes) {
  const auto model = fit_latency(points_of(0.002, 4e-5, 2e-8, 0, 1));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_NEAR(model->a_s.value, 0.002, 1e-8);
  EXPECT_NEAR(model->b_s_per_token.value, 4e-5, 1e-10);
  EXPECT_NEAR(model->c_s_per_token2.value, 2e-8, 1e-13);
  EXPECT_LT(model->residual_relative_max, 1e-6);
}

TEST(LatencyModel, ItsIntervalsHoldTheTruth) {
  int hits[3] = {};
  constexpr int kFits = 400;
  for (int fit = 0; fit < kFits; ++fit) {
    const auto model =
        fit_latency(points_of(0.002, 4e-5, 2e-8, 0.05, 10U + static_cast<unsigned>(fit)));
    ASSERT_TRUE(model);
    const auto holds = [](const record::Estimate& estimate, double truth) {
      return estimate.interval && estimate.interval->low <= truth &&
                     truth <= estimate.interval->high
                 ? 1
                 : 0;
    };
    hits[0] += holds(model->a_s, 0.002);
    hits[1] += holds(model->b_s_per_token, 4e-5);
    hits[2] += holds(model->c_s_per_token2, 2e-8);
  }
  for (const int hit : hits) {
    EXPECT_GE(hit, 0.92 * kFits);
    EXPECT_LE(hit, 0.98 * kFits);
  }
}

TEST(LatencyModel, NoTermIsNegative) {
  // Times that fall with the tokens would need a negative b.
  std::vector<Point> points;
  for (const double tokens : {100.0, 200.0, 400.0}) {
    points.push_back({{1, tokens, tokens * tokens}, 1 / tokens});
  }
  const auto model = fit_latency(points);
  ASSERT_TRUE(model);
  EXPECT_GE(model->a_s.value, 0);
  EXPECT_EQ(model->b_s_per_token.value, 0);
  EXPECT_EQ(model->c_s_per_token2.value, 0);
}

TEST(LatencyModel, WithAsManyPointsAsTermsNobodyKnowsTheError) {
  const std::vector<Point> points = {{{1, 100, 0}, 0.01}, {{32, 3200, 0}, 0.2}};
  const auto model = fit_latency(points, false);
  ASSERT_TRUE(model);
  EXPECT_FALSE(model->half_width);
  EXPECT_FALSE(model->b_s_per_token.interval);
}

TEST(LatencyModel, WhatIsNoMeasurementIsRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Point> same = {{{1, 100, 1e4}, 0.01}, {{1, 100, 1e4}, 0.02}};
  EXPECT_EQ(fit_latency(same).error().code, "advise/fit");
  EXPECT_EQ(fit_latency({}).error().code, "advise/fit");
  for (const double bad : {0.0, -1.0, nan, std::numeric_limits<double>::infinity()}) {
    std::vector<Point> points = points_of(0.002, 4e-5, 2e-8, 0, 1);
    points[3].seconds = bad;
    EXPECT_EQ(fit_latency(points).error().code, "advise/fit") << bad;
    points = points_of(0.002, 4e-5, 2e-8, 0, 1);
    points[3].shape.tokens = bad;
    EXPECT_EQ(fit_latency(points).error().code, "advise/fit") << bad;
  }
}

Family only_family(const std::vector<record::Record>& records) {
  const auto sorted = sort_records(records);
  EXPECT_TRUE(sorted);
  auto families = fit_families(sorted->configurations);
  EXPECT_EQ(families.size(), 1U);
  return families.front();
}

std::vector<record::Record> serial_run(const Engine& engine) {
  std::vector<record::Record> records;
  for (const std::uint64_t batch : {1U, 8U, 32U}) {
    records.push_back(made_up(engine, Precision::fp32, batch, Mode::serial));
  }
  return records;
}

TEST(LatencyStudy, FitsTheSerialRecordsOfAnEngine) {
  const auto records = serial_run(cpu_engine());
  const Family family = only_family(records);
  ASSERT_TRUE(family.model) << family.why_not;
  EXPECT_NEAR(family.model->a_s.value, cpu_engine().a_s, 1e-8);
  EXPECT_NEAR(family.model->b_s_per_token.value, cpu_engine().b_s, 1e-9);
  // The made-up engine really computes what is padded, so that the model must meet it.
  const record::Record padded =
      made_up(cpu_engine(), Precision::fp32, 8, Mode::serial, Padding::longest);
  const auto shapes = shapes_of(padded.texts.token_counts, 8, Padding::longest, 512);
  for (std::size_t batch = 0; batch < shapes.size(); ++batch) {
    EXPECT_NEAR(seconds_of(*family.model, shapes[batch]), padded.samples_s[batch], 1e-6);
  }
}

TEST(LatencyStudy, WithoutLengthsOnlyTheMeanIsKnown) {
  auto records = serial_run(cpu_engine());
  for (record::Record& record : records) record.texts.token_counts.clear();
  const Family family = only_family(records);
  ASSERT_TRUE(family.model) << family.why_not;
  EXPECT_FALSE(family.model->pairs_known);
  EXPECT_EQ(family.model->points, 3U);
}

TEST(LatencyStudy, RecordsThatDoNotFitTogetherAreLeftOut) {
  auto records = serial_run(cpu_engine());
  records[0].samples_s.pop_back();  // positions too many
  records[1].samples_s[0] = std::numeric_limits<double>::quiet_NaN();
  records[2].reasons = {{"steal", "", 0.4, 0.1, record::Severity::invalid}};
  const Family family = only_family(records);
  EXPECT_FALSE(family.model);
  EXPECT_NE(family.why_not, "");
}

}  // namespace
}  // namespace breakeven::decide
