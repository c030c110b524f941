// Normal, Student's t, F and binomial distributions: the parts of statistics.h that are tables
// elsewhere. Quantiles invert the distribution function by bisection: slow, exact and short.
#include <cmath>
#include <limits>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

// Continued fraction of the incomplete beta function (modified Lentz); converges fast for
// x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMaxSteps = 100000;
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / nonzero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m <= kMaxSteps; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonzero(1 + even * d);
    c = nonzero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + odd * d);
    c = nonzero(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return fraction;
}

// lgamma writes a global sign and is not safe between threads.
double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// Regularised incomplete beta function I_x(a, b).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) +
                                b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_t_cdf(double t, double degrees) {
  const double tail = 0.5 * incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
  return t > 0 ? 1 - tail : tail;
}

// The x with cdf(x) = probability >= 1/2, which lies in [0, infinity).
template <class Cdf>
double upper_quantile(double probability, const Cdf& cdf) {
  double low = 0;
  double high = 1;
  while (cdf(high) < probability && high < 1e12) high *= 2;
  for (int step = 0; step < 200 && low < high; ++step) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (cdf(middle) < probability ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

}  // namespace

double normal_quantile(double probability) {
  BREAKEVEN_CHECK(probability > 0 && probability < 1, "probability={}", probability);
  if (probability < 0.5) return -normal_quantile(1 - probability);
  return upper_quantile(probability, [](double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); });
}

double student_t_quantile(double probability, double degrees_of_freedom) {
  BREAKEVEN_CHECK(probability > 0 && probability < 1 && degrees_of_freedom > 0,
                  "probability={} degrees_of_freedom={}", probability, degrees_of_freedom);
  if (probability < 0.5) return -student_t_quantile(1 - probability, degrees_of_freedom);
  return upper_quantile(probability,
                        [&](double t) { return student_t_cdf(t, degrees_of_freedom); });
}

double f_cdf(double ratio, double numerator_degrees, double denominator_degrees) {
  if (!(ratio > 0)) return 0;
  if (std::isinf(ratio)) return 1;
  const double weighted = numerator_degrees * ratio;
  return incomplete_beta(numerator_degrees / 2, denominator_degrees / 2,
                         weighted / (weighted + denominator_degrees));
}

double binomial_cdf(double trials, double probability, double successes) {
  if (successes < 0) return 0;
  if (successes >= trials) return 1;
  return incomplete_beta(trials - successes, successes + 1, 1 - probability);
}

}  // namespace breakeven::measure
