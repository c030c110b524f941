#include "measure/rounds.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
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

// The log of a cell's value in a round. `stretch`: of the cells that are visited one after the
// other in that round.
struct Point {
  std::size_t cell = 0, round = 0, stretch = 0;
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

struct Cell {
  const RoundValues* values = nullptr;
  std::size_t group = 0;
};

// Points of the cells that have two rounds at least: others say nothing about noise.
std::vector<Point> points_of(std::span<const Cell> cells) {
  std::vector<Point> points;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> stretches;
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    const RoundValues& values = *cells[cell].values;
    if (logs(values).size() < 2) continue;
    for (std::size_t round = 0; round < values.size(); ++round) {
      if (!values[round]) continue;
      const auto stretch = stretches.try_emplace({cells[cell].group, round}, stretches.size());
      points.push_back({cell, round, stretch.first->second, log_of(*values[round])});
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

// Blocks of cells and rounds (or stretches) that no visit connects: in each of them one level is
// taken out twice.
std::size_t unconnected_blocks(const std::vector<Point>& points, std::size_t Point::*shared) {
  std::map<std::size_t, std::size_t> of_cell;
  std::map<std::size_t, std::size_t> of_shared;
  for (const Point& point : points) {
    of_cell.try_emplace(point.cell, point.cell);
    of_shared.try_emplace(point.*shared, point.cell);
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const Point& point : points) {
      std::size_t& cell = of_cell[point.cell];
      std::size_t& other = of_shared[point.*shared];
      changed |= cell != other;
      cell = other = std::min(cell, other);
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

// A sum of squares and its degrees of freedom.
struct Squares {
  double sum = 0, degrees = 0;
  double mean() const { return degrees > 0 ? sum / degrees : 0; }
  Squares operator-(const Squares& part) const {
    return {std::max(0.0, sum - part.sum), degrees - part.degrees};
  }
};

// What is left of `rest` (logs without their cells' levels) without what cells share. Least
// squares: one step is exact when no visit is missing, repeating it converges otherwise.
Squares without_shared(const std::vector<Point>& points, std::size_t Point::*shared,
                       std::vector<double> rest) {
  std::size_t cells = 0;
  std::size_t all_shared = 0;
  const double before = sum_of_squares(rest);
  double previous = before;
  for (int step = 0; step < 100; ++step) {
    all_shared = take_out_means(points, shared, rest);
    cells = take_out_means(points, &Point::cell, rest);
    const double now = sum_of_squares(rest);
    if (previous - now <= 1e-12 * before) break;
    previous = now;
  }
  return {sum_of_squares(rest), static_cast<double>(points.size() - cells - all_shared +
                                                    unconnected_blocks(points, shared))};
}

// Satterthwaite's degrees of freedom of a weighted sum of mean squares.
double degrees_of(std::initializer_list<std::pair<double, Squares>> parts) {
  double sum = 0;
  double uncertain = 0;
  double all = 0;
  for (const auto& [weight, squares] : parts) {
    if (squares.degrees <= 0) continue;
    const double part = weight * squares.mean();
    sum += part;
    uncertain += part * part / squares.degrees;
    all += squares.degrees;
  }
  return uncertain > 0 ? sum * sum / uncertain : all;
}

Noise noise_of(std::span<const Cell> cells) {
  Noise noise;
  const std::vector<Point> points = points_of(cells);
  if (points.empty()) return noise;
  std::vector<double> rest;
  rest.reserve(points.size());
  for (const Point& point : points) rest.push_back(point.log);
  const std::size_t cell_count = take_out_means(points, &Point::cell, rest);
  const Squares all{sum_of_squares(rest), static_cast<double>(points.size() - cell_count)};
  const Squares no_rounds = without_shared(points, &Point::round, rest);
  const Squares own = without_shared(points, &Point::stretch, rest);
  const Squares rounds = all - no_rounds;
  const Squares stretches = no_rounds - own;
  noise.cell_sd = std::sqrt(all.mean());
  // Cells share the state of the machine, so that their deviations are not worth cells × (rounds -
  // 1) degrees.
  noise.cell_degrees =
      degrees_of({{rounds.degrees, rounds}, {stretches.degrees, stretches}, {own.degrees, own}});
  // Two cells of different groups do not share a stretch; of one group alone nothing else is known.
  const std::size_t count =
      1 + std::max_element(points.begin(), points.end(), [](const Point& a, const Point& b) {
            return a.stretch < b.stretch;
          })->stretch;
  const double size = static_cast<double>(points.size()) / static_cast<double>(count);
  const double of_stretch = stretches.degrees > 0 ? 1 / size : 0;
  const double variance = of_stretch * stretches.mean() + (1 - of_stretch) * own.mean();
  noise.pair_sd = std::sqrt(2 * variance);
  // However many cells there are: they differ in noise, so that the pool says only about what this
  // pair's is. Without the limit 5.2 % of equal cells were told apart
  // (tests/study/coverage_test.cc).
  constexpr double kMostPairDegrees = 12;
  noise.pair_degrees =
      std::min(kMostPairDegrees, degrees_of({{of_stretch, stretches}, {1 - of_stretch, own}}));
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

std::vector<std::size_t> visited_together(std::span<const record::Record* const> records) {
  std::vector<Setup> groups;
  std::vector<std::size_t> group_of;
  for (const record::Record* record : records) {
    Setup setup = record->cell;
    setup.batch = 0;
    setup.mode = Mode::serial;
    setup.rate_per_s = setup.max_wait_s = 0;
    setup.arrivals = Arrivals::none;
    const auto known = std::find(groups.begin(), groups.end(), setup);
    group_of.push_back(static_cast<std::size_t>(known - groups.begin()));
    if (known == groups.end()) groups.push_back(std::move(setup));
  }
  return group_of;
}

Noise pooled_noise(std::span<const RoundValues> cells, std::span<const std::size_t> groups) {
  BREAKEVEN_CHECK(groups.empty() || groups.size() == cells.size(), "cells={} groups={}",
                  cells.size(), groups.size());
  std::vector<Cell> kept;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    kept.push_back({&cells[i], groups.empty() ? i : groups[i]});
  }
  Noise noise = noise_of(kept);
  // Each cell that goes makes the rest quieter, so that the next may stand out.
  constexpr double kFarNoisier = 0.002;
  constexpr std::size_t kFewestKept = 3;
  while (kept.size() > kFewestKept) {
    const auto gone = std::remove_if(kept.begin(), kept.end(), [&](const Cell& cell) {
      const std::vector<double> values = logs(*cell.values);
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

Estimate ratio_of(const Estimate& a, const Estimate& b) {
  Estimate ratio{a.value / b.value, std::nullopt, std::min(a.samples, b.samples)};
  if (!a.interval || !b.interval || !(a.interval->low > 0) || !(b.interval->low > 0)) return ratio;
  const double down =
      std::hypot(std::log(a.value / a.interval->low), std::log(b.interval->high / b.value));
  const double up =
      std::hypot(std::log(a.interval->high / a.value), std::log(b.value / b.interval->low));
  ratio.interval =
      Interval{ratio.value * std::exp(-down), ratio.value * std::exp(up), a.interval->confidence};
  return ratio;
}

Estimate ratio_of_sides(const RoundValues& a, const Noise& noise_a, const RoundValues& b,
                        const Noise& noise_b, double confidence) {
  const Estimate above = over_rounds(a, noise_a, confidence);
  const Estimate below = over_rounds(b, noise_b, confidence);
  return above.samples == 0 || below.samples == 0 ? Estimate{} : ratio_of(above, below);
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
