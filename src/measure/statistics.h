// The statistics behind every printed number; docs/measuring.md cites them. Series are in time
// order, because neighbours in time resemble each other and an interval that ignores this is too
// narrow. All functions are pure; none draws random numbers.
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

// How many independent samples the series is worth: n ÷ (1 + 2 Σ autocorrelations), summed by
// Geyer's initial positive sequence. In [1, n]; n for a constant series.
double effective_samples(std::span<const double> series);

// Distribution-free interval of a percentile: ranks from the binomial distribution, as if
// `independent` of the samples were. `ordered`: ascending. Nothing when they are too few for an
// interval of this confidence.
std::optional<record::Interval> rank_interval(std::span<const double> ordered, double share,
                                              double independent, double confidence = 0.95);
// The same for a series in time order: as many are independent as the effective number of samples
// of the indicator "at or below the percentile".
std::optional<record::Interval> percentile_interval(std::span<const double> series, double share,
                                                    double confidence = 0.95);
std::optional<record::Interval> median_interval(std::span<const double> series,
                                                double confidence = 0.95);

// Interval of a percentile over a fixed mix: `samples` are whole passes of `per_pass` samples each,
// every pass the same work in the same order. How much the share below the percentile changes from
// pass to pass gives the error (batch means), and the ranks at its ends give the interval (Woodruff
// 1952). It says what another pass over these texts would show, not what other texts would.
// Nothing below kMinPassesForInterval passes.
std::optional<record::Interval> percentile_interval_over_passes(std::span<const double> samples,
                                                                std::size_t per_pass, double share,
                                                                double confidence = 0.95);
inline constexpr std::size_t kMinPassesForInterval = 4;

// Interval of the mean: Student's t with the effective number of samples. Nothing below three.
std::optional<record::Interval> mean_interval(std::span<const double> series,
                                              double confidence = 0.95);

// Standard error of the mean of a correlated series, and its degrees of freedom.
struct MeanError {
  double error = 0;
  double degrees = 1;
};
// From the effective number of samples. At least two samples.
MeanError mean_error(std::span<const double> series);
// From the means of contiguous batches (about the root of the samples many, 4 to 16; pairs below
// nine samples): what drifts within a batch does not make it narrow. At least two samples.
MeanError batch_means_error(std::span<const double> series);

// Times of the same work in two runs, in time order. `positions` tells which piece of the work each
// sample is (which batch of the pass, which text); empty = all are the same piece.
struct TimedWork {
  std::span<const double> seconds;
  std::span<const std::uint32_t> positions;
};
// How many times longer `after` takes than `before`, piece by piece: ratio of geometric means over
// the pieces that both have. Each run's error is the larger of mean_error() and
// batch_means_error(); Welch's degrees of freedom. Value 0 without a common piece, no interval when
// a run has fewer than three samples. All seconds > 0; positions empty or as many as seconds.
record::Estimate ratio_of_times(const TimedWork& before, const TimedWork& after,
                                double confidence = 0.95);

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
