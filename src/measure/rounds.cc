#include "measure/rounds.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

using record::Estimate;
using record::Interval;

constexpr double kConfidence = 0.95;

// A value of cell `cell` in round `round`: its log.
struct Point {
  std::size_t cell = 0, round = 0;
  double log = 0;
};

double log_of(double value) {
  BREAKEVEN_CHECK(value > 0, "value={}", value);
  return std::log(value);
}

std::vector<double> logs(const RoundValues& values) {
  std::vector<double> result;
  for (const auto& value : values) {
    if (value) result.push_back(log_of(*value));
  }
  return result;
}

// Logs of a ÷ b in the rounds that both have.
std::vector<double> log_ratios(const RoundValues& a, const RoundValues& b) {
  std::vector<double> result;
  for (std::size_t round = 0; round < std::min(a.size(), b.size()); ++round) {
    if (a[round] && b[round]) result.push_back(log_of(*a[round]) - log_of(*b[round]));
  }
  return result;
}

// Points of the cells that have two rounds at least: others say nothing about noise.
std::vector<Point> points_of(std::span<const RoundValues> cells) {
  std::vector<Point> points;
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    const RoundValues& values = cells[cell];
    const auto missing = std::count(values.begin(), values.end(), std::nullopt);
    if (static_cast<std::ptrdiff_t>(values.size()) - missing < 2) continue;
    for (std::size_t round = 0; round < values.size(); ++round) {
      if (values[round]) points.push_back({cell, round, log_of(*values[round])});
    }
  }
  return points;
}

// Takes the mean of each group (a cell, a round) out of `rest`; the number of groups.
std::size_t take_out_means(const std::vector<Point>& points, std::size_t Point::*group,
                           std::vector<double>& rest) {
  std::size_t size = 0;
  for (const Point& point : points) size = std::max(size, point.*group + 1);
  std::vector<double> sums(size);
  std::vector<double> counts(size);
  for (std::size_t i = 0; i < points.size(); ++i) {
    sums[points[i].*group] += rest[i];
    ++counts[points[i].*group];
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    rest[i] -= sums[points[i].*group] / counts[points[i].*group];
  }
  return size - static_cast<std::size_t>(std::count(counts.begin(), counts.end(), 0.0));
}

double sum_of_squares(std::span<const double> values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

// Sample variance; at least two values.
double variance(std::span<const double> values) {
  const double center = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - center) * (value - center);
  return sum / static_cast<double>(values.size() - 1);
}

// The interval of the mean of `values` (logs) on the scale of the values themselves, with the noise
// of one of them.
Estimate estimate(std::span<const double> values, double sd, double degrees) {
  if (values.empty()) return {};
  const double center = mean(values);
  Estimate result{std::exp(center), std::nullopt, values.size()};
  if (values.size() < kMinRounds) return result;
  // Own noise when the pooled one cannot account for it: by chance once in a hundred cells.
  constexpr double kChance = 0.01;
  const double own = variance(values);
  const auto own_degrees = static_cast<double>(values.size() - 1);
  if (degrees <= 0 || f_cdf(own / (sd * sd), own_degrees, degrees) > 1 - kChance) {
    sd = std::sqrt(own);
    degrees = own_degrees;
  }
  const double half = student_t_quantile(0.5 + kConfidence / 2, degrees) * sd /
                      std::sqrt(static_cast<double>(values.size()));
  result.interval = Interval{std::exp(center - half), std::exp(center + half), kConfidence};
  return result;
}

double median_range(std::span<const RoundValues> cells) {
  std::vector<double> ranges;
  for (const RoundValues& values : cells) {
    const std::vector<double> of_cell = logs(values);
    if (of_cell.size() < 2) continue;
    const auto [least, most] = std::minmax_element(of_cell.begin(), of_cell.end());
    ranges.push_back(*most - *least);
  }
  return ranges.empty() ? 1 : std::exp(median(ranges));
}

}  // namespace

Noise pooled_noise(std::span<const RoundValues> cells) {
  Noise noise;
  noise.speed_range = median_range(cells);
  const std::vector<Point> points = points_of(cells);
  if (points.empty()) return noise;
  std::vector<double> rest;
  rest.reserve(points.size());
  for (const Point& point : points) rest.push_back(point.log);
  const std::size_t cell_count = take_out_means(points, &Point::cell, rest);
  const double around_levels = sum_of_squares(rest);
  // What all cells of a round share, too: one step is exact when no visit is missing, repeating it
  // converges to least squares otherwise.
  std::size_t round_count = 0;
  double previous = around_levels;
  for (int step = 0; step < 100; ++step) {
    round_count = take_out_means(points, &Point::round, rest);
    take_out_means(points, &Point::cell, rest);
    const double now = sum_of_squares(rest);
    if (previous - now <= 1e-12 * around_levels) break;
    previous = now;
  }
  const double of_rest = sum_of_squares(rest);
  const auto cell_degrees = static_cast<double>(points.size() - cell_count);
  const auto round_degrees = static_cast<double>(round_count - 1);
  const double rest_degrees = cell_degrees - round_degrees;
  noise.cell_sd = std::sqrt(around_levels / cell_degrees);
  noise.cell_degrees = cell_degrees;
  if (rest_degrees > 0) {
    noise.pair_sd = std::sqrt(2 * of_rest / rest_degrees);
    noise.pair_degrees = rest_degrees;
  }
  // All cells of a round share its state, so that their deviations are not worth cells × (rounds -
  // 1) degrees: Satterthwaite's, of the sum of both parts.
  const double of_rounds = around_levels - of_rest;
  if (around_levels > 0 && rest_degrees > 0) {
    noise.cell_degrees = around_levels * around_levels /
                         (of_rounds * of_rounds / round_degrees + of_rest * of_rest / rest_degrees);
  }
  return noise;
}

Estimate over_rounds(const RoundValues& values, const Noise& noise) {
  return estimate(logs(values), noise.cell_sd, noise.cell_degrees);
}

Estimate ratio_by_round(const RoundValues& a, const RoundValues& b, const Noise& noise) {
  return estimate(log_ratios(a, b), noise.pair_sd, noise.pair_degrees);
}

Estimate ratio_of_sides(const RoundValues& a, const Noise& noise_a, const RoundValues& b,
                        const Noise& noise_b) {
  const Estimate above = over_rounds(a, noise_a);
  const Estimate below = over_rounds(b, noise_b);
  if (above.samples == 0 || below.samples == 0) return {};
  Estimate ratio{above.value / below.value, std::nullopt, std::min(above.samples, below.samples)};
  if (!above.interval || !below.interval) return ratio;
  // Both intervals are symmetric on the log scale; their halves add up as squares.
  const double half = std::hypot(std::log(above.interval->high / above.value),
                                 std::log(below.interval->high / below.value));
  ratio.interval =
      Interval{ratio.value * std::exp(-half), ratio.value * std::exp(half), kConfidence};
  return ratio;
}

RoundValues pass_seconds_by_round(const record::Record& record) {
  RoundValues values;
  const std::size_t passes = record.passes;
  if (passes == 0 || record.samples_s.size() < passes) return values;
  // Serial samples are batches; those of a pass that was cut short stand at the end.
  std::size_t per_pass = 1;
  if (!record.sample_positions.empty()) {
    per_pass = std::size_t{1} +
               *std::max_element(record.sample_positions.begin(), record.sample_positions.end());
  }
  if (record.samples_s.size() < passes * per_pass) return values;
  const std::span<const double> samples = record.samples_s;
  for (std::size_t pass = 0; pass < passes; ++pass) {
    const auto batches = samples.subspan(pass * per_pass, per_pass);
    values.emplace_back(std::accumulate(batches.begin(), batches.end(), 0.0));
  }
  return values;
}

}  // namespace breakeven::measure
