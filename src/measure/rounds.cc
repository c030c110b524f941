#include "measure/rounds.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

using record::Estimate;
using record::Interval;

// A value of cell `cell` in round `round`: its log.
struct Point {
  std::size_t cell = 0, round = 0;
  double log = 0;
};

bool possible(double seconds) {
  return std::isfinite(seconds) && seconds > 0;
}

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
    if (logs(cells[cell]).size() < 2) continue;
    for (std::size_t round = 0; round < cells[cell].size(); ++round) {
      if (const auto& value = cells[cell][round]) points.push_back({cell, round, log_of(*value)});
    }
  }
  return points;
}

// Takes the mean of each group (a cell, a round) out of `rest`; the number of groups.
std::size_t take_out_means(const std::vector<Point>& points, std::size_t Point::*group,
                           std::vector<double>& rest) {
  std::map<std::size_t, std::pair<double, double>> sums;  // and how many
  for (std::size_t i = 0; i < points.size(); ++i) {
    auto& [sum, count] = sums[points[i].*group];
    sum += rest[i];
    ++count;
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto& [sum, count] = sums[points[i].*group];
    rest[i] -= sum / count;
  }
  return sums.size();
}

// Blocks of cells and rounds that no visit connects: each has a level of its own to take out.
std::size_t unconnected_blocks(const std::vector<Point>& points) {
  std::map<std::size_t, std::size_t> of_cell;
  std::map<std::size_t, std::size_t> of_round;
  for (const Point& point : points) {
    of_cell.try_emplace(point.cell, point.cell);
    of_round.try_emplace(point.round, point.cell);
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const Point& point : points) {
      std::size_t& cell = of_cell[point.cell];
      std::size_t& round = of_round[point.round];
      changed |= cell != round;
      cell = round = std::min(cell, round);
    }
  }
  std::set<std::size_t> blocks;
  for (const auto& [cell, block] : of_cell) blocks.insert(block);
  return blocks.size();
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

// Whether chance makes a cell's own variance so large in fewer than `chance` of all cases.
bool noisier(std::span<const double> values, double sd, double degrees, double chance) {
  return degrees <= 0 || f_cdf(variance(values) / (sd * sd), static_cast<double>(values.size() - 1),
                               degrees) > 1 - chance;
}

// The interval of the mean of `values` (logs) on the scale of the values themselves, with the noise
// of one of them; its own noise when that cannot account for it.
Estimate estimate(std::span<const double> values, double sd, double degrees, double confidence) {
  if (values.empty()) return {};
  const double center = mean(values);
  Estimate result{std::exp(center), std::nullopt, values.size()};
  if (values.size() < kMinRounds) return result;
  constexpr double kChance = 0.1;
  if (noisier(values, sd, degrees, kChance)) {
    sd = std::sqrt(variance(values));
    degrees = static_cast<double>(values.size() - 1);
  }
  const double half = student_t_quantile(0.5 + confidence / 2, degrees) * sd /
                      std::sqrt(static_cast<double>(values.size()));
  result.interval = Interval{std::exp(center - half), std::exp(center + half), confidence};
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

Noise noise_of(std::span<const RoundValues> cells) {
  Noise noise;
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
  const auto round_degrees = static_cast<double>(round_count - unconnected_blocks(points));
  const double rest_degrees = cell_degrees - round_degrees;
  noise.cell_sd = std::sqrt(around_levels / cell_degrees);
  noise.cell_degrees = cell_degrees;
  if (rest_degrees <= 0) return noise;
  noise.pair_sd = std::sqrt(2 * of_rest / rest_degrees);
  // However many cells there are: they differ in noise, so that the pool says only about what this
  // pair's is. Without the limit 5.2 % of equal cells were told apart
  // (tests/study/coverage_test.cc).
  constexpr double kMostPairDegrees = 12;
  noise.pair_degrees = std::min(rest_degrees, kMostPairDegrees);
  // All cells of a round share its state, so that their deviations are not worth cells × (rounds -
  // 1) degrees: Satterthwaite's, of the sum of both parts.
  const double of_rounds = around_levels - of_rest;
  if (around_levels > 0) {
    noise.cell_degrees = around_levels * around_levels /
                         (of_rounds * of_rounds / round_degrees + of_rest * of_rest / rest_degrees);
  }
  return noise;
}

// The samples of a visit: a round of the run, or a pass of a record that has no rounds.
struct Visit {
  std::size_t round = 0;
  std::vector<std::size_t> samples;
};

std::size_t batches_per_pass(const record::Record& record) {
  const auto& positions = record.sample_positions;
  if (record.cell.mode != Mode::serial || positions.empty()) return 1;
  return std::size_t{1} + *std::max_element(positions.begin(), positions.end());
}

std::vector<Visit> visits_of(const record::Record& record) {
  std::vector<Visit> visits;
  const std::size_t per_pass = batches_per_pass(record);
  for (std::size_t i = 0; i < record.samples_s.size(); ++i) {
    const bool known = i < record.sample_rounds.size();
    const std::size_t round = known ? record.sample_rounds[i] : i / per_pass;
    if (!known && round >= record.passes) break;  // a pass that was cut short
    if (visits.empty() || visits.back().round != round) visits.push_back({round, {}});
    visits.back().samples.push_back(i);
  }
  return visits;
}

// By how many seconds each sample that is a stall is longer than usual; 0 for all others.
std::vector<double> beyond_usual(const record::Record& record, const std::vector<Visit>& visits) {
  std::vector<double> beyond(record.samples_s.size());
  if (record.cell.mode == Mode::paced) return beyond;  // a request that waits is no stall
  if (!std::all_of(record.samples_s.begin(), record.samples_s.end(), possible)) return beyond;
  std::map<std::uint32_t, std::vector<double>> of_position;
  const auto position = [&](std::size_t i) {
    return i < record.sample_positions.size() ? record.sample_positions[i] : 0;
  };
  for (std::size_t i = 0; i < record.samples_s.size(); ++i) {
    of_position[position(i)].push_back(record.samples_s[i]);
  }
  std::map<std::uint32_t, double> usual;
  for (const auto& [at, seconds] : of_position) usual[at] = median(seconds);
  for (const Visit& visit : visits) {
    std::vector<double> slower;
    for (const std::size_t i : visit.samples) {
      slower.push_back(record.samples_s[i] / usual[position(i)]);
    }
    const double level = median(slower);
    for (std::size_t k = 0; k < slower.size(); ++k) {
      constexpr double kStall = 3;
      const std::size_t i = visit.samples[k];
      if (slower[k] <= kStall * std::max(1.0, level)) continue;
      beyond[i] = record.samples_s[i] - level * usual[position(i)];
    }
  }
  return beyond;
}

// Nothing where a file says what no measurement can have given.
void set_round(RoundValues& values, std::uint64_t round, double value) {
  constexpr std::uint64_t kMostRounds = 1'000'000;
  if (round >= kMostRounds || !possible(value)) return;
  if (values.size() <= round) values.resize(round + 1);
  values[round] = value;
}

}  // namespace

Noise pooled_noise(std::span<const RoundValues> cells) {
  std::vector<RoundValues> kept(cells.begin(), cells.end());
  Noise noise = noise_of(kept);
  // Each cell that goes makes the rest quieter, so that the next may stand out.
  constexpr double kFarNoisier = 0.002;
  constexpr std::size_t kFewestKept = 3;
  while (kept.size() > kFewestKept) {
    const auto gone = std::remove_if(kept.begin(), kept.end(), [&](const RoundValues& cell) {
      const std::vector<double> values = logs(cell);
      return values.size() >= 2 && noisier(values, noise.cell_sd, noise.cell_degrees, kFarNoisier);
    });
    if (gone == kept.end()) break;
    kept.erase(gone, kept.end());
    noise = noise_of(kept);
  }
  noise.speed_range = median_range(cells);
  return noise;
}

Estimate over_rounds(const RoundValues& values, const Noise& noise, double confidence) {
  return estimate(logs(values), noise.cell_sd, noise.cell_degrees, confidence);
}

Estimate ratio_by_round(const RoundValues& a, const RoundValues& b, const Noise& noise,
                        double confidence) {
  return estimate(log_ratios(a, b), noise.pair_sd, noise.pair_degrees, confidence);
}

Estimate ratio_of_sides(const RoundValues& a, const Noise& noise_a, const RoundValues& b,
                        const Noise& noise_b, double confidence) {
  const Estimate above = over_rounds(a, noise_a, confidence);
  const Estimate below = over_rounds(b, noise_b, confidence);
  if (above.samples == 0 || below.samples == 0) return {};
  Estimate ratio{above.value / below.value, std::nullopt, std::min(above.samples, below.samples)};
  if (!above.interval || !below.interval) return ratio;
  // Both intervals are symmetric on the log scale; their halves add up as squares.
  const double half = std::hypot(std::log(above.interval->high / above.value),
                                 std::log(below.interval->high / below.value));
  ratio.interval =
      Interval{ratio.value * std::exp(-half), ratio.value * std::exp(half), confidence};
  return ratio;
}

Stalls stalls_of(const record::Record& record) {
  Stalls stalls;
  for (const double beyond : beyond_usual(record, visits_of(record))) {
    stalls.count += beyond > 0 ? 1 : 0;
    stalls.seconds += beyond;
  }
  return stalls;
}

RoundValues pass_seconds_by_round(const record::Record& record) {
  const std::vector<Visit> visits = visits_of(record);
  const std::vector<double> beyond = beyond_usual(record, visits);
  RoundValues values;
  for (const record::Round& round : record.rounds) {
    if (round.passes > 0) set_round(values, round.index, round.pass_s);
  }
  for (const Visit& visit : visits) {
    double seconds = 0;
    double stalled = 0;
    for (const std::size_t i : visit.samples) {
      seconds += record.samples_s[i];
      stalled += beyond[i];
    }
    if (record.rounds.empty()) {
      set_round(values, visit.round, seconds - stalled);
    } else if (stalled > 0 && visit.round < values.size() && values[visit.round]) {
      *values[visit.round] *= 1 - stalled / seconds;
    }
  }
  return values;
}

RoundValues percentile_by_round(const record::Record& record, double share) {
  RoundValues values;
  for (const Visit& visit : visits_of(record)) {
    std::vector<double> seconds;
    for (const std::size_t i : visit.samples) seconds.push_back(record.samples_s[i]);
    if (!std::all_of(seconds.begin(), seconds.end(), possible)) continue;
    set_round(values, visit.round, percentile(seconds, share));
  }
  return values;
}

}  // namespace breakeven::measure
