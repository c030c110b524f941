// Statistics of samples, lines and shares; what is repeated over rounds is in rounds.h. Series are
// in time order, because neighbours in time resemble each other and an interval that ignores this
// is too narrow. All functions are pure; none draws random numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "record/record.h"

namespace breakeven::measure {

// Linear interpolation between order statistics (Hyndman and Fan's type 7, numpy's default).
// share in [0, 1]; at least one sample, all finite.
double percentile(std::span<const double> samples, double share);
double median(std::span<const double> samples);
double mean(std::span<const double> samples);
// Median absolute deviation × 1.4826 ÷ median: a relative standard deviation that outliers do not
// move. 0 for fewer than two samples.
double relative_spread(std::span<const double> samples);

// The fewest samples for a percentile: with `allowed_above` samples above a bound, that
// bound is at or above the percentile with this confidence. 11 for p50, 64 for p90, 130 for p95,
// 662 for p99, 6,636 for p99.9.
std::size_t samples_needed(double share, double confidence = 0.99, unsigned allowed_above = 1);
bool carries(std::size_t samples, double share);

// Distribution-free interval of a percentile: ranks from the binomial distribution, as if
// `independent` of the samples were. `ordered`: ascending. Nothing when they are too few for an
// interval of this confidence.
std::optional<record::Interval> rank_interval(std::span<const double> ordered, double share,
                                              double independent, double confidence = 0.95);

// y = intercept + slope · x by least squares. At least 3 points (fewer: no intervals), x not all
// equal. `weights` (empty = all 1) multiply the squared residuals.
struct LineFit {
  record::Estimate intercept, slope;
  std::vector<double> residuals;     // y - fit
  double residual_relative_max = 0;  // largest |residual| ÷ |y|
  double r_squared = 0;
};
LineFit fit_line(std::span<const double> x, std::span<const double> y,
                 std::span<const double> weights = {}, double confidence = 0.95);

// The exponent k of y ≈ c·x^k with its interval: a line through (log x, log y). All values > 0.
record::Estimate log_log_slope(std::span<const double> x, std::span<const double> y,
                               double confidence = 0.95);

// Wilson's score interval of a share. `distinct` counts originals: texts that repeat an original
// (or are joined from the same ones) do not make the interval narrower.
record::Interval wilson_interval(double share, std::uint64_t distinct, double confidence = 0.95);

// Building blocks, tested against published tables.
double normal_quantile(double probability);
double student_t_quantile(double probability, double degrees_of_freedom);
// P(X <= ratio) for a ratio of two variances of the same normal distribution; both degrees > 0.
double f_cdf(double ratio, double numerator_degrees, double denominator_degrees);
// P(X <= successes) for X ~ Binomial(trials, probability); trials need not be whole (incomplete
// beta function), because effective sample sizes are not.
double binomial_cdf(double trials, double probability, double successes);

}  // namespace breakeven::measure
