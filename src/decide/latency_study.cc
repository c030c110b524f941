#include "decide/latency_study.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "measure/statistics.h"

namespace breakeven::decide {
namespace {

using record::Record;

// Times of each batch of a pass; empty when the record's samples do not fit together.
std::map<std::uint32_t, std::vector<double>> by_position(const Record& record) {
  std::map<std::uint32_t, std::vector<double>> times;
  if (record.sample_positions.size() != record.samples_s.size()) return {};
  for (std::size_t i = 0; i < record.samples_s.size(); ++i) {
    if (!plausible(record.samples_s[i])) return {};
    times[record.sample_positions[i]].push_back(record.samples_s[i]);
  }
  return times;
}

bool has_lengths(const Record& record) {
  const auto& counts = record.texts.token_counts;
  return !counts.empty() && *std::min_element(counts.begin(), counts.end()) > 0;
}

// One point a batch of the pass: the median of its repeats.
void add_points(const Record& record, std::size_t group, std::vector<Point>& points) {
  const auto shapes = shapes_of(record.texts.token_counts, record.cell.batch, record.cell.padding,
                                record.cell.max_length);
  for (const auto& [position, seconds] : by_position(record)) {
    if (position >= shapes.size()) continue;
    points.push_back({shapes[position], measure::median(seconds), group});
  }
}

// Without lengths: one point a cell, its mean batch.
void add_mean_point(const Record& record, std::size_t group, std::vector<Point>& points) {
  const auto times = by_position(record);
  const auto batches = static_cast<double>(times.size());
  const auto texts = static_cast<double>(record.texts.count);
  // Of a pass that was cut short nobody knows which texts were done.
  if (times.empty() || batches != std::ceil(texts / static_cast<double>(record.cell.batch))) return;
  double seconds = 0;
  for (const auto& [position, repeats] : times) seconds += measure::median(repeats);
  Point point;
  point.shape.texts = texts / batches;
  point.shape.tokens = static_cast<double>(record.texts.computed_tokens) / batches;
  point.seconds = seconds / batches;
  point.group = group;
  if (plausible(point.shape.tokens)) points.push_back(point);
}

std::vector<const Record*> serial_records(const Family& family,
                                          std::span<const Configuration> configurations) {
  std::vector<const Record*> records;
  for (const Configuration& configuration : configurations) {
    if (!family.holds(configuration) || configuration.serial == nullptr) continue;
    if (unusable(*configuration.serial).empty()) records.push_back(configuration.serial);
  }
  return records;
}

void add_residuals(const std::vector<const Record*>& records, std::span<const Point> points,
                   Family& family) {
  for (std::size_t group = 0; group < records.size(); ++group) {
    const record::Cell& cell = records[group]->cell;
    CellResidual residual{cell.batch, cell.max_length, cell.padding};
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (points[i].group != group) continue;
      const double value = family.model->residuals[i];
      ++residual.points;
      residual.mean += value;
      if (std::abs(value) > std::abs(residual.largest)) residual.largest = value;
    }
    if (residual.points == 0) continue;
    residual.mean /= static_cast<double>(residual.points);
    family.cells.push_back(residual);
  }
}

void fit(Family& family, std::span<const Configuration> configurations) {
  const auto records = serial_records(family, configurations);
  if (records.empty()) {
    family.why_not = "no serial cell that counts (measure with --mode serial)";
    return;
  }
  std::vector<Point> points;
  for (std::size_t group = 0; group < records.size(); ++group) {
    const Record& record = *records[group];
    if (family.mean_tokens == 0) family.mean_tokens = record.texts.mean_tokens;
    if (!has_lengths(record)) continue;
    add_points(record, group, points);
    if (record.cell.max_length >= family.max_length) {
      family.max_length = record.cell.max_length;
      family.lengths = record.texts.token_counts;
      family.mean_tokens = record.texts.mean_tokens;
    }
  }
  const bool lengths_known = !points.empty();
  if (!lengths_known) {
    for (std::size_t group = 0; group < records.size(); ++group) {
      add_mean_point(*records[group], group, points);
      family.max_length = std::max(family.max_length, records[group]->cell.max_length);
    }
  }
  if (points.empty()) {
    family.why_not = "the serial cells hold no complete pass";
    return;
  }
  auto model = fit_latency(points, lengths_known);
  if (!model) {
    family.why_not = model.error().to_string();
    return;
  }
  family.model = *std::move(model);
  add_residuals(records, points, family);
}

std::set<std::uint64_t> measured_batches(const Family& family) {
  std::set<std::uint64_t> batches;
  for (const CellResidual& cell : family.cells) batches.insert(cell.batch);
  return batches;
}

double pass_seconds(const LatencyModel& model, std::span<const Shape> shapes,
                    std::string* outside) {
  double seconds = 0;
  for (const Shape& shape : shapes) {
    const Prediction prediction = predict(model, shape);
    seconds += prediction.seconds;
    if (outside != nullptr && outside->empty()) *outside = prediction.outside;
  }
  return seconds;
}

double sum_of_tokens(std::span<const Shape> shapes) {
  return std::accumulate(shapes.begin(), shapes.end(), 0.0,
                         [](double sum, const Shape& shape) { return sum + shape.tokens; });
}

}  // namespace

bool Family::holds(const Configuration& configuration) const {
  const record::Cell& ours = any->cell;
  const record::Cell& theirs = configuration.cell();
  return machine == configuration.machine && ours.runtime == theirs.runtime &&
         ours.device == theirs.device && ours.precision == theirs.precision &&
         ours.threads == theirs.threads;
}

std::vector<Family> fit_families(std::span<const Configuration> configurations) {
  std::vector<Family> families;
  for (const Configuration& configuration : configurations) {
    const bool known = std::any_of(families.begin(), families.end(), [&](const Family& family) {
      return family.holds(configuration);
    });
    if (known) continue;
    Family& family = families.emplace_back();
    family.side = configuration.side;
    family.any = configuration.any;
    family.machine = configuration.machine;
    fit(family, configurations);
  }
  return families;
}

std::vector<PaddingCost> padding_costs(const Family& family) {
  std::vector<PaddingCost> costs;
  if (!family.model || family.lengths.empty()) return costs;
  for (const std::uint64_t batch : measured_batches(family)) {
    const auto packed = shapes_of(family.lengths, batch, Padding::none, family.max_length);
    const double real_tokens = sum_of_tokens(packed);
    const double packed_s = pass_seconds(*family.model, packed, nullptr);
    for (const Padding padding : all_of<Padding>()) {
      const auto shapes = shapes_of(family.lengths, batch, padding, family.max_length);
      PaddingCost cost;
      cost.padding = padding;
      cost.batch = batch;
      cost.waste_share = 1 - real_tokens / sum_of_tokens(shapes);
      cost.pass_s = pass_seconds(*family.model, shapes, &cost.extrapolated);
      cost.over_packed = packed_s > 0 ? cost.pass_s / packed_s : 1;
      costs.push_back(std::move(cost));
    }
  }
  return costs;
}

std::optional<LengthCost> length_cost(const Family& family) {
  if (!family.model || family.lengths.empty()) return std::nullopt;
  const auto texts = static_cast<double>(family.lengths.size());
  LengthCost cost;
  cost.batch = *measured_batches(family).rbegin();
  const auto batch = static_cast<double>(cost.batch);
  cost.real_s =
      pass_seconds(*family.model,
                   shapes_of(family.lengths, cost.batch, Padding::none, family.max_length),
                   nullptr) /
      texts;
  const auto equal = [&](double length) {
    const double batches = std::ceil(texts / batch);
    return (batches * family.model->a_s.value +
            texts * (family.model->b_s_per_token.value * length +
                     family.model->c_s_per_token2.value * length * length)) /
           texts;
  };
  const double mean = std::accumulate(family.lengths.begin(), family.lengths.end(), 0.0) / texts;
  cost.at_mean_s = equal(mean);
  cost.at_max_s = equal(static_cast<double>(family.max_length));
  return cost;
}

std::optional<LargestBatch> largest_batch_within(const Family& family, double limit_s) {
  if (!family.model || !plausible(family.mean_tokens)) return std::nullopt;
  LargestBatch result;
  result.mean_length = family.mean_tokens;
  result.longest = static_cast<double>(family.max_length);
  result.at_mean_length = largest_batch(*family.model, result.mean_length, limit_s);
  result.at_longest = largest_batch(*family.model, result.longest, limit_s);
  const auto texts = static_cast<double>(result.at_mean_length);
  if (texts > family.model->texts.high || (texts > 0 && texts < family.model->texts.low)) {
    const double tokens = texts * result.mean_length;
    result.extrapolated =
        predict(*family.model, {texts, tokens, tokens * result.mean_length}).outside;
  }
  return result;
}

}  // namespace breakeven::decide
