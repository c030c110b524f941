// Two runs of the same work against each other (declared in statistics.h).
#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

struct Sum {
  double logs = 0;
  std::size_t count = 0;
  double mean() const { return logs / static_cast<double>(count); }
};
struct Piece {
  Sum before, after;
  bool in_both() const { return before.count > 0 && after.count > 0; }
  double level() const { return (before.mean() + after.mean()) / 2; }
};
using Pieces = std::map<std::uint32_t, Piece>;

std::uint32_t position(const TimedWork& work, std::size_t sample) {
  return work.positions.empty() ? 0 : work.positions[sample];
}

void add(const TimedWork& work, Sum Piece::*run, Pieces& pieces) {
  BREAKEVEN_CHECK(work.positions.empty() || work.positions.size() == work.seconds.size(),
                  "positions={} seconds={}", work.positions.size(), work.seconds.size());
  for (std::size_t i = 0; i < work.seconds.size(); ++i) {
    BREAKEVEN_CHECK(work.seconds[i] > 0, "seconds={}", work.seconds[i]);
    Sum& sum = pieces[position(work, i)].*run;
    sum.logs += std::log(work.seconds[i]);
    ++sum.count;
  }
}

// Log seconds less the level of their piece, in time order: what is left is the run's own.
std::vector<double> deviations(const TimedWork& work, const Pieces& pieces) {
  std::vector<double> series;
  for (std::size_t i = 0; i < work.seconds.size(); ++i) {
    const Piece& piece = pieces.at(position(work, i));
    if (piece.in_both()) series.push_back(std::log(work.seconds[i]) - piece.level());
  }
  return series;
}

// The levels were estimated from the same samples, 2k of them for each piece: that takes a share of
// 1/2k out of the variance of what is left.
double level_correction(const Pieces& pieces) {
  double inverse = 0;
  std::size_t count = 0;
  for (const auto& [at, piece] : pieces) {
    if (!piece.in_both()) continue;
    inverse += 1 / static_cast<double>(piece.before.count + piece.after.count);
    ++count;
  }
  const double share = inverse / static_cast<double>(count);  // at most 1/2
  return 1 / std::sqrt(1 - share);
}

MeanError careful_error(std::span<const double> series) {
  const MeanError effective = mean_error(series);
  const MeanError batches = batch_means_error(series);
  return {std::max(effective.error, batches.error), std::min(effective.degrees, batches.degrees)};
}

}  // namespace

record::Estimate ratio_of_times(const TimedWork& before, const TimedWork& after,
                                double confidence) {
  Pieces pieces;
  add(before, &Piece::before, pieces);
  add(after, &Piece::after, pieces);
  const std::vector<double> a = deviations(before, pieces);
  const std::vector<double> b = deviations(after, pieces);
  if (a.empty() || b.empty()) return {};
  const double difference = mean(b) - mean(a);
  record::Estimate ratio{std::exp(difference), std::nullopt, std::min(a.size(), b.size())};
  if (ratio.samples < 3) return ratio;
  const MeanError first = careful_error(a);
  const MeanError second = careful_error(b);
  const double variance = first.error * first.error + second.error * second.error;
  if (variance <= 0) {
    ratio.interval = record::Interval{ratio.value, ratio.value, confidence};
    return ratio;
  }
  const double degrees =
      variance * variance /
      (std::pow(first.error, 4) / first.degrees + std::pow(second.error, 4) / second.degrees);
  const double half = student_t_quantile(0.5 + confidence / 2, degrees) * std::sqrt(variance) *
                      level_correction(pieces);
  ratio.interval =
      record::Interval{std::exp(difference - half), std::exp(difference + half), confidence};
  return ratio;
}

}  // namespace breakeven::measure
