#include "measure/statistics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <random>

namespace breakeven::measure {
namespace {

using ::testing::DoubleNear;

std::vector<double> numbers(std::size_t n) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), 1.0);
  return values;
}

TEST(Percentile, InterpolatesAsNumpyDoes) {
  const std::vector<double> four = {4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(median(four), 2.5);
  EXPECT_DOUBLE_EQ(percentile(four, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(four, 1), 4);
  EXPECT_DOUBLE_EQ(percentile(four, 0.9), 3.7);  // numpy.percentile([4,1,3,2], 90)
  EXPECT_DOUBLE_EQ(percentile(numbers(101), 0.99), 100);
  const std::vector<double> one = {7};
  EXPECT_DOUBLE_EQ(percentile(one, 0.99), 7);
}

TEST(Spread, IsTheScaledMedianDeviation) {
  const std::vector<double> values = {98, 99, 100, 101, 102, 1000};  // the outlier moves little
  EXPECT_NEAR(relative_spread(values), 1.4826 * 1.5 / 100.5, 1e-12);
  EXPECT_EQ(relative_spread(std::vector<double>{5}), 0);
  EXPECT_EQ(relative_spread(std::vector<double>{5, 5, 5}), 0);
}

TEST(Distributions, AgreeWithPublishedTables) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(normal_quantile(0.005), -2.575829303548901, 1e-12);
  EXPECT_NEAR(student_t_quantile(0.975, 1), 12.706204736432095, 1e-9);
  EXPECT_NEAR(student_t_quantile(0.975, 4), 2.7764451051977987, 1e-10);
  EXPECT_NEAR(student_t_quantile(0.025, 30), -2.042272456301238, 1e-10);
  EXPECT_NEAR(student_t_quantile(0.975, 1e6), 1.95996635682, 1e-8);
  EXPECT_NEAR(f_cdf(4, 2, 10), 1 - std::pow(1 + 4.0 / 5, -5), 1e-12);  // closed form at 2 degrees
  EXPECT_NEAR(f_cdf(2.2621571627409915 * 2.2621571627409915, 1, 9), 0.95, 1e-10);  // t(9) squared
  EXPECT_EQ(f_cdf(0, 2, 10), 0);
  EXPECT_NEAR(binomial_cdf(10, 0.5, 1), 11.0 / 1024, 1e-14);
  EXPECT_NEAR(binomial_cdf(5, 0.2, 0), std::pow(0.8, 5), 1e-14);
  EXPECT_EQ(binomial_cdf(5, 0.2, -1), 0);
  EXPECT_EQ(binomial_cdf(5, 0.2, 5), 1);
}

// The rule itself, without binomial_cdf: with one sample of n above a bound, the probability of so
// few, were the bound below the percentile, is share^n + n · (1 - share) · share^(n-1).
double chance_of_at_most_one_above(double share, std::size_t n) {
  const auto count = static_cast<double>(n);
  return std::exp(count * std::log(share)) +
         count * (1 - share) * std::exp((count - 1) * std::log(share));
}

TEST(SamplesNeeded, FollowsFromOneSampleAboveAt99Percent) {
  const std::pair<double, std::size_t> rows[] = {
      {0.5, 11}, {0.9, 64}, {0.95, 130}, {0.99, 662}, {0.999, 6636}};
  for (const auto& [share, n] : rows) {
    EXPECT_EQ(samples_needed(share), n) << share;
    EXPECT_LE(chance_of_at_most_one_above(share, n), 0.01) << share;
    EXPECT_GT(chance_of_at_most_one_above(share, n - 1), 0.01) << share;
    EXPECT_TRUE(carries(n, share));
    EXPECT_FALSE(carries(n - 1, share));
  }
  EXPECT_EQ(samples_needed(0.9, 0.95, 0), 29U);  // 0.9^28 > 0.05 >= 0.9^29
}

TEST(RankInterval, RanksAreThoseOfTheBinomialTable) {
  const auto twenty = rank_interval(numbers(20), 0.5, 20);
  ASSERT_TRUE(twenty);
  EXPECT_EQ(twenty->low, 6);  // n = 20: ranks 6 and 15, coverage 0.9586
  EXPECT_EQ(twenty->high, 15);
  const auto six = rank_interval(numbers(6), 0.5, 6);
  ASSERT_TRUE(six);  // 1 - 2 · 0.5^6 = 0.969
  EXPECT_EQ(six->low, 1);
  EXPECT_EQ(six->high, 6);
  EXPECT_FALSE(rank_interval(numbers(5), 0.5, 5));
  EXPECT_FALSE(rank_interval(numbers(20), 0.99, 20));
  EXPECT_FALSE(rank_interval(numbers(1000), 0.5, 5)) << "few of them are independent";
}

TEST(FitLine, AgreesWithAWorkedExample) {
  // Anscombe's first set: 3.000091 + 0.500091 x, standard errors 1.124747 and 0.117906.
  const std::vector<double> x = {10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5};
  const std::vector<double> y = {8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68};
  const LineFit fit = fit_line(x, y);
  EXPECT_NEAR(fit.intercept.value, 3.000091, 1e-6);
  EXPECT_NEAR(fit.slope.value, 0.500091, 1e-6);
  EXPECT_NEAR(fit.r_squared, 0.666542, 1e-6);
  const double t9 = 2.2621571627409915;
  EXPECT_NEAR(fit.slope.interval->high - fit.slope.value, t9 * 0.1179055, 1e-6);
  EXPECT_NEAR(fit.intercept.value - fit.intercept.interval->low, t9 * 1.1247468, 1e-6);
  EXPECT_NEAR(std::accumulate(fit.residuals.begin(), fit.residuals.end(), 0.0), 0, 1e-12);
  EXPECT_NEAR(fit.residual_relative_max, std::abs(y[9] - 3.000091 - 7 * 0.500091) / y[9], 1e-6);
}

TEST(FitLine, WeightsCountAsRepeatedPoints) {
  const std::vector<double> x = {1, 2, 3, 3};
  const std::vector<double> y = {1, 3, 4, 4};
  const LineFit repeated = fit_line(x, y);
  const std::vector<double> weights = {1, 1, 2};
  const LineFit weighted = fit_line(std::span(x).first(3), std::span(y).first(3), weights);
  EXPECT_NEAR(weighted.slope.value, repeated.slope.value, 1e-12);
  EXPECT_NEAR(weighted.intercept.value, repeated.intercept.value, 1e-12);
}

TEST(FitLine, TwoPointsGiveALineWithoutInterval) {
  const std::vector<double> x = {1, 3};
  const std::vector<double> y = {2, 8};
  const LineFit fit = fit_line(x, y);
  EXPECT_DOUBLE_EQ(fit.slope.value, 3);
  EXPECT_DOUBLE_EQ(fit.intercept.value, -1);
  EXPECT_FALSE(fit.slope.interval);
}

TEST(LogLogSlope, TellsLinearFromSquare) {
  std::vector<double> n;
  std::vector<double> linear;
  std::vector<double> square;
  std::mt19937_64 random(5);
  std::normal_distribution<double> noise(0, 0.01);
  for (double size = 10; size <= 20000; size *= 2.5) {
    n.push_back(size);
    linear.push_back(0.003 * size * (1 + noise(random)));
    square.push_back(0.003 * size * size * (1 + noise(random)));
  }
  ASSERT_GE(n.size(), 8U);
  const auto one = log_log_slope(n, linear);
  EXPECT_NEAR(one.value, 1, 0.02);
  EXPECT_LT(one.interval->low, 1);
  EXPECT_GT(one.interval->high, 1);
  EXPECT_NEAR(log_log_slope(n, square).value, 2, 0.02);
}

TEST(Wilson, AgreesWithAWorkedExample) {
  // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
  const auto interval = wilson_interval(81.0 / 263, 263);
  EXPECT_NEAR(interval.low, 0.2553, 5e-5);
  EXPECT_NEAR(interval.high, 0.3662, 5e-5);
  EXPECT_EQ(wilson_interval(0, 20).low, 0);
  EXPECT_NEAR(wilson_interval(0, 20).high, 0.1611, 5e-5);
  EXPECT_EQ(wilson_interval(0.5, 0).high, 1);
}

}  // namespace
}  // namespace breakeven::measure
