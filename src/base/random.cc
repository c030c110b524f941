#include "base/random.h"

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "base/check.h"

namespace breakeven {

Random::Random(std::uint64_t seed, std::initializer_list<std::uint64_t> path)
    : state_(mix(seed + 0x9E3779B97F4A7C15ULL)) {
  for (const std::uint64_t step : path) state_ = mix(state_ ^ mix(step + 0xD1B54A32D192ED03ULL));
}

std::uint64_t Random::below(std::uint64_t bound) {
  BREAKEVEN_CHECK(bound >= 1);
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t accepted =
      kAll - kAll % bound;  // a multiple of bound: the rest is drawn anew
  std::uint64_t value = next();
  while (value >= accepted) value = next();
  return value % bound;
}

double Random::normal() {
  while (true) {
    const double a = uniform(-1.0, 1.0);
    const double b = uniform(-1.0, 1.0);
    const double square = a * a + b * b;
    if (square < 1.0 && square > 1e-300) return a * std::sqrt(-2.0 * portable_log(square) / square);
  }
}

void Random::shuffle(std::span<std::size_t> values) {
  for (std::size_t left = values.size(); left > 1; --left) {
    std::swap(values[left - 1], values[below(left)]);
  }
}

double portable_log(double x) {
  BREAKEVEN_CHECK(std::isnormal(x) && x > 0, "x={}", x);
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh(s), s = (m - 1) / (m + 1).
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
  auto m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (m >= std::numbers::sqrt2) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);  // |s| < 0.1716
  const double square = s * s;
  double series = 0;
  for (int power = 21; power >= 3; power -= 2) series = (series + 1.0 / power) * square;
  return static_cast<double>(exponent) * std::numbers::ln2 + 2.0 * s * (1.0 + series);
}

std::vector<double> random_rotation(std::size_t size, Random& random) {
  std::vector<double> rows(size * size);
  for (double& value : rows) value = random.normal();
  for (std::size_t r = 0; r < size; ++r) {
    const std::span<double> row(rows.data() + r * size, size);
    // Twice: what rounding leaves of the earlier rows after the first time, the second removes.
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t earlier = 0; earlier < r; ++earlier) {
        const double* other = rows.data() + earlier * size;
        double dot = 0;
        for (std::size_t i = 0; i < size; ++i) dot += row[i] * other[i];
        for (std::size_t i = 0; i < size; ++i) row[i] -= dot * other[i];
      }
    }
    double square = 0;
    for (const double value : row) square += value * value;
    const double scale = 1.0 / std::sqrt(square);
    for (double& value : row) value *= scale;
  }
  return rows;
}

}  // namespace breakeven
