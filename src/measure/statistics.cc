#include "measure/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace breakeven::measure {
namespace {

using record::Estimate;
using record::Interval;

double percentile_of_sorted(std::span<const double> ordered, double share) {
  BREAKEVEN_CHECK(!ordered.empty() && share >= 0 && share <= 1, "n={} share={}", ordered.size(),
                  share);
  const double place = share * static_cast<double>(ordered.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, ordered.size() - 1);
  return std::lerp(ordered[below], ordered[above], place - std::floor(place));
}

}  // namespace

double mean(std::span<const double> samples) {
  BREAKEVEN_CHECK(!samples.empty());
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double percentile(std::span<const double> samples, double share) {
  BREAKEVEN_CHECK(!samples.empty() && share >= 0 && share <= 1, "n={} share={}", samples.size(),
                  share);
  // As percentile_of_sorted(), but only two of the samples must find their places.
  const double place = share * static_cast<double>(samples.size() - 1);
  std::vector<double> parts(samples.begin(), samples.end());
  const auto at = parts.begin() + static_cast<std::ptrdiff_t>(place);
  std::nth_element(parts.begin(), at, parts.end());
  const double above = at + 1 == parts.end() ? *at : *std::min_element(at + 1, parts.end());
  return std::lerp(*at, above, place - std::floor(place));
}

double median(std::span<const double> samples) {
  return percentile(samples, 0.5);
}

double relative_spread(std::span<const double> samples) {
  if (samples.size() < 2) return 0;
  const double middle = median(samples);
  std::vector<double> deviations(samples.size());
  std::transform(samples.begin(), samples.end(), deviations.begin(),
                 [middle](double x) { return std::abs(x - middle); });
  constexpr double kNormalConsistency = 1.4826;  // MAD -> standard deviation, if it were normal
  return middle == 0 ? 0 : kNormalConsistency * median(deviations) / std::abs(middle);
}

std::size_t samples_needed(double share, double confidence, unsigned allowed_above) {
  BREAKEVEN_CHECK(share > 0 && share < 1 && confidence > 0 && confidence < 1, "{} {}", share,
                  confidence);
  // If more than 1 - share of all samples lay above the bound, seeing no more than allowed_above of
  // n there would have at most this probability.
  const auto enough = [&](std::size_t n) {
    return binomial_cdf(static_cast<double>(n), 1 - share, allowed_above) <= 1 - confidence;
  };
  std::size_t high = 1;
  while (!enough(high)) high *= 2;
  std::size_t low = high / 2;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

bool carries(std::size_t samples, double share) {
  return samples >= samples_needed(share);
}

std::optional<Interval> rank_interval(std::span<const double> ordered, double share,
                                      double independent, double confidence) {
  const double trials = std::floor(independent);
  const double tail = (1 - confidence) / 2;
  // x_(lower) to x_(upper) of `trials` independent samples holds the percentile with probability
  // P(lower <= Binomial < upper). Nine standard deviations below the mean nothing is left.
  const double middle = trials * share;
  double lower = std::max(0.0, std::floor(middle - 9 * std::sqrt(middle * (1 - share)) - 9));
  while (lower < trials && binomial_cdf(trials, share, lower) <= tail) ++lower;
  double upper = lower + 1;
  while (upper <= trials && binomial_cdf(trials, share, upper - 1) < 1 - tail) ++upper;
  if (lower < 1 || upper > trials) return std::nullopt;
  // Ranks among `trials` samples become ranks among n at the same expected share.
  const auto n = static_cast<double>(ordered.size());
  const double stretch = (n + 1) / (trials + 1);
  const auto low = static_cast<std::size_t>(std::max(1.0, std::floor(lower * stretch)));
  const auto high = static_cast<std::size_t>(std::min(n, std::ceil(upper * stretch)));
  const double value = percentile_of_sorted(ordered, share);
  return Interval{std::min(ordered[low - 1], value), std::max(ordered[high - 1], value),
                  confidence};
}

LineFit fit_line(std::span<const double> x, std::span<const double> y,
                 std::span<const double> weights, double confidence) {
  const std::size_t n = x.size();
  BREAKEVEN_CHECK(n >= 2 && y.size() == n && (weights.empty() || weights.size() == n),
                  "x={} y={} weights={}", n, y.size(), weights.size());
  const auto weight = [&](std::size_t i) { return weights.empty() ? 1.0 : weights[i]; };
  double total = 0;
  double x_mean = 0;
  double y_mean = 0;
  for (std::size_t i = 0; i < n; ++i) {
    total += weight(i);
    x_mean += weight(i) * x[i];
    y_mean += weight(i) * y[i];
  }
  x_mean /= total;
  y_mean /= total;
  double x_squares = 0;
  double products = 0;
  double y_squares = 0;
  for (std::size_t i = 0; i < n; ++i) {
    x_squares += weight(i) * (x[i] - x_mean) * (x[i] - x_mean);
    products += weight(i) * (x[i] - x_mean) * (y[i] - y_mean);
    y_squares += weight(i) * (y[i] - y_mean) * (y[i] - y_mean);
  }
  BREAKEVEN_CHECK(x_squares > 0, "all x are equal");
  LineFit fit;
  fit.slope.value = products / x_squares;
  fit.intercept.value = y_mean - fit.slope.value * x_mean;
  fit.slope.samples = fit.intercept.samples = n;
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double residual = y[i] - fit.intercept.value - fit.slope.value * x[i];
    fit.residuals.push_back(residual);
    squares += weight(i) * residual * residual;
    if (y[i] != 0) {
      fit.residual_relative_max = std::max(fit.residual_relative_max, std::abs(residual / y[i]));
    }
  }
  fit.r_squared = y_squares > 0 ? 1 - squares / y_squares : 1;
  if (n >= 3) {
    const auto degrees = static_cast<double>(n - 2);
    const double t = student_t_quantile(0.5 + confidence / 2, degrees);
    const double variance = squares / degrees;
    const double slope_half = t * std::sqrt(variance / x_squares);
    const double intercept_half =
        t * std::sqrt(variance * (1 / total + x_mean * x_mean / x_squares));
    fit.slope.interval =
        Interval{fit.slope.value - slope_half, fit.slope.value + slope_half, confidence};
    fit.intercept.interval = Interval{fit.intercept.value - intercept_half,
                                      fit.intercept.value + intercept_half, confidence};
  }
  return fit;
}

Estimate log_log_slope(std::span<const double> x, std::span<const double> y, double confidence) {
  std::vector<double> log_x;
  std::vector<double> log_y;
  for (const double value : x) {
    BREAKEVEN_CHECK(value > 0, "x={}", value);
    log_x.push_back(std::log(value));
  }
  for (const double value : y) {
    BREAKEVEN_CHECK(value > 0, "y={}", value);
    log_y.push_back(std::log(value));
  }
  return fit_line(log_x, log_y, {}, confidence).slope;
}

Interval wilson_interval(double share, std::uint64_t distinct, double confidence) {
  if (distinct == 0) return {0, 1, confidence};
  const double z = normal_quantile(0.5 + confidence / 2);
  const auto n = static_cast<double>(distinct);
  const double shrink = 1 + z * z / n;
  const double center = (share + z * z / (2 * n)) / shrink;
  const double half = z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink;
  return {std::max(0.0, center - half), std::min(1.0, center + half), confidence};
}

}  // namespace breakeven::measure
