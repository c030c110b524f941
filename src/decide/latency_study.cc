#include "decide/latency_study.h"

#include <algorithm>
#include <cmath>
#include <map>

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
void add_points(const Record& record, std::vector<Point>& points) {
  const auto shapes = shapes_of(record.texts.token_counts, record.cell.batch, record.cell.padding,
                                record.cell.max_length);
  for (const auto& [position, seconds] : by_position(record)) {
    if (position >= shapes.size()) continue;
    points.push_back({shapes[position], measure::median(seconds)});
  }
}

// Without lengths: one point a cell, its mean batch.
void add_mean_point(const Record& record, std::vector<Point>& points) {
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
  if (plausible(point.shape.tokens)) points.push_back(point);
}

std::vector<const Record*> serial_records(const Family& family,
                                          std::span<const Configuration> configurations) {
  std::vector<const Record*> records;
  for (const Configuration& configuration : configurations) {
    const Row* serial = configuration.serial;
    if (serial == nullptr || !family.holds(configuration)) continue;
    if (serial->unusable.empty()) records.push_back(serial->record);
  }
  return records;
}

void fit(Family& family, std::span<const Configuration> configurations) {
  const auto records = serial_records(family, configurations);
  if (records.empty()) {
    family.why_not = "no serial cell that counts (measure with --mode serial)";
    return;
  }
  std::vector<Point> points;
  for (const Record* each : records) {
    const Record& record = *each;
    if (family.mean_tokens == 0) family.mean_tokens = record.texts.mean_tokens;
    if (!has_lengths(record)) continue;
    add_points(record, points);
    if (record.cell.max_length >= family.max_length) {
      family.max_length = record.cell.max_length;
      family.lengths = record.texts.token_counts;
      family.mean_tokens = record.texts.mean_tokens;
    }
  }
  const bool lengths_known = !points.empty();
  if (!lengths_known) {
    for (const Record* record : records) {
      add_mean_point(*record, points);
      family.max_length = std::max(family.max_length, record->cell.max_length);
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

}  // namespace breakeven::decide
