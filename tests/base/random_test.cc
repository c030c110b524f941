#include "base/random.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace breakeven {
namespace {

TEST(Random, StreamsOfAPathAreFixed) {
  Random random(1, {2, 3});
  Random same(1, {2, 3});
  EXPECT_EQ(random.next(), same.next());
  std::set<std::uint64_t> firsts;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (std::uint64_t a = 0; a < 10; ++a) {
      for (std::uint64_t b = 0; b < 10; ++b) firsts.insert(Random(seed, {a, b}).next());
    }
  }
  EXPECT_EQ(firsts.size(), 1000U);
}

TEST(Random, UniformStaysInRangeWithTheRightMoments) {
  Random random(5, {});
  double sum = 0;
  double squares = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.uniform(0.4, 1.6);
    ASSERT_GE(value, 0.4);
    ASSERT_LT(value, 1.6);
    sum += value;
    squares += value * value;
  }
  const double mean = sum / kDraws;
  EXPECT_NEAR(mean, 1.0, 5 * 0.3464 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws - mean * mean, 0.12, 0.002);
}

TEST(Random, NormalHasTheRightMoments) {
  Random random(6, {});
  constexpr int kDraws = 200000;
  double moments[5] = {};
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.normal();
    for (int m = 1; m <= 4; ++m) moments[m] += std::pow(value, m) / kDraws;
  }
  EXPECT_NEAR(moments[1], 0, 0.012);
  EXPECT_NEAR(moments[2], 1, 0.016);
  EXPECT_NEAR(moments[3], 0, 0.045);
  EXPECT_NEAR(moments[4], 3, 0.12);
}

TEST(Random, BelowIsEven) {
  Random random(7, {});
  std::vector<int> seen(6);
  for (int i = 0; i < 60000; ++i) ++seen.at(random.below(6));
  for (const int count : seen) EXPECT_NEAR(count, 10000, 500);
}

TEST(Random, ShuffleIsAPermutation) {
  std::vector<std::size_t> values(100);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i;
  const std::vector<std::size_t> before = values;
  Random(8, {}).shuffle(values);
  EXPECT_NE(values, before);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, before);
}

TEST(Random, LogIsTheLogarithm) {
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    EXPECT_NEAR(portable_log(x), std::log(x), 4e-16 * std::fmax(1, std::abs(std::log(x)))) << x;
  }
  for (double x = 0.5; x < 2; x += 0.001) {
    EXPECT_NEAR(portable_log(x), std::log(x), 3e-16) << x;
  }
}

TEST(Random, RotationIsOrthogonal) {
  Random random(9, {});
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{64}}) {
    const std::vector<double> q = random_rotation(size, random);
    for (std::size_t a = 0; a < size; ++a) {
      for (std::size_t b = 0; b < size; ++b) {
        double dot = 0;
        for (std::size_t i = 0; i < size; ++i) dot += q[a * size + i] * q[b * size + i];
        ASSERT_NEAR(dot, a == b ? 1.0 : 0.0, 1e-14) << a << " " << b;
      }
    }
  }
}

}  // namespace
}  // namespace breakeven
