#include "decide/known_gpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "decide/configuration.h"
#include "decide/latency_study.h"
#include "measure/statistics.h"

namespace breakeven::decide {
namespace {

using record::Record;

// The record whose texts and model are asked about: the longest cut that holds lengths.
const Record* asked_about(std::span<const Record> own) {
  const Record* found = nullptr;
  for (const Record& record : own) {
    if (record.kind != record::Kind::cell || record.texts.token_counts.empty()) continue;
    if (found == nullptr || record.cell.max_length > found->cell.max_length) found = &record;
  }
  return found;
}

std::string shape_text(const record::ModelShape& shape) {
  return fmt::format("{} layers, hidden size {}, {} heads, FFN {}", shape.layers, shape.hidden,
                     shape.heads, shape.intermediate);
}

Result<void> check_shape(const Record& known, const Record& own) {
  if (known.model_hash == own.model_hash) return {};
  const char* measure_one = "measure on a GPU and give its journal: breakeven run --device cuda";
  if (!own.model_shape) {
    return fail("known/shape",
                fmt::format("the records of '{}' do not say the model's shape, so no record of a "
                            "GPU can be matched with it",
                            own.model_name),
                "measure them again with this breakeven");
  }
  if (known.model_shape == own.model_shape) return {};
  return fail("known/shape",
              fmt::format("no record of this shape: '{}' has {}, the GPU's record {}",
                          own.model_name, shape_text(*own.model_shape),
                          known.model_shape ? shape_text(*known.model_shape) : "does not say"),
              measure_one);
}

std::vector<double> seconds_of_each(const LatencyModel& model, const Record& record) {
  std::vector<double> seconds;
  for (const Shape& shape : shapes_of(record.texts.token_counts, record.cell.batch,
                                      record.cell.padding, record.cell.max_length)) {
    seconds.push_back(seconds_of(model, shape));
  }
  return seconds;
}

// One sample a batch of the own texts and pass: the misfit of the batch in its place.
void carry_samples(const Record& known, const std::vector<double>& theirs,
                   const std::vector<double>& ours, Record& record) {
  const std::size_t passes = known.samples_s.size() / theirs.size();
  record.samples_s.clear();
  record.sample_positions.clear();
  record.sample_rounds.clear();
  record.sample_start_s.clear();
  for (std::size_t pass = 0; pass < passes; ++pass) {
    for (std::size_t batch = 0; batch < ours.size(); ++batch) {
      const std::size_t place = batch % theirs.size();
      const std::size_t from = pass * theirs.size() + place;
      record.samples_s.push_back(ours[batch] * known.samples_s[from] / theirs[place]);
      record.sample_positions.push_back(static_cast<std::uint32_t>(batch));
      if (from < known.sample_rounds.size())
        record.sample_rounds.push_back(known.sample_rounds[from]);
      if (from < known.sample_start_s.size())
        record.sample_start_s.push_back(known.sample_start_s[from]);
    }
  }
}

void carry_percentiles(const Record& known, Record& record) {
  for (auto& [name, latency] : record.latency_s) {
    double percent = 0;
    std::from_chars(name.data() + 1, name.data() + name.size(), percent);
    const double before = known.latency_s.at(name).value;
    if (record.samples_s.empty() || !plausible(before)) continue;
    latency.value = measure::percentile(record.samples_s, percent / 100);
    if (!latency.interval) continue;
    latency.interval->low *= latency.value / before;
    latency.interval->high *= latency.value / before;
  }
}

// The texts over and over until batches are full: a GPU is asked about them for their throughput.
record::Texts whole_batches(record::Texts texts, std::uint64_t batch) {
  const std::vector<std::uint32_t> once = texts.token_counts;
  const std::uint64_t count =
      (std::max<std::uint64_t>(once.size(), batch) + batch - 1) / batch * batch;
  for (std::uint64_t i = once.size(); i < count; ++i) {
    texts.token_counts.push_back(once[i % once.size()]);
  }
  texts.count = count;
  texts.real_tokens = std::accumulate(texts.token_counts.begin(), texts.token_counts.end(), 0UL);
  texts.computed_tokens = texts.real_tokens;
  return texts;
}

Record carried(const Record& known, const Record& own, const LatencyModel& model) {
  Record record = known;
  record.model_name = own.model_name;
  record.model_hash = own.model_hash;
  record.model_shape = own.model_shape;
  record.texts = whole_batches(own.texts, known.cell.batch);
  record.cell.max_length = own.cell.max_length;
  // Of other weights and texts.
  record.parity.reset();
  record.other_parity.reset();
  record.accuracy.reset();
  record.stages.reset();
  record.reasons.push_back(
      {"carried-over",
       fmt::format(
           "from the {} record of {:.10}, carried over to these lengths by the latency model",
           known.gpu ? known.gpu->name : "unknown GPU", known.started_at),
       0, 0});
  const std::vector<double> theirs = seconds_of_each(model, known);
  const std::vector<double> ours = seconds_of_each(model, record);
  const double pass_ratio = std::accumulate(ours.begin(), ours.end(), 0.0) /
                            std::accumulate(theirs.begin(), theirs.end(), 0.0);
  if (known.cell.mode == Mode::serial) {
    carry_samples(known, theirs, ours, record);
  } else {
    for (double& seconds : record.samples_s) seconds *= pass_ratio;
  }
  for (record::Round& round : record.rounds) round.pass_s *= pass_ratio;
  carry_percentiles(known, record);
  const double texts =
      static_cast<double>(record.texts.count) / static_cast<double>(known.texts.count);
  const double faster = texts / pass_ratio;
  record.reviews_per_s.value *= faster;
  if (record.reviews_per_s.interval) {
    record.reviews_per_s.interval->low *= faster / (1 + model.residual_relative_rms);
    record.reviews_per_s.interval->high *= faster * (1 + model.residual_relative_rms);
  }
  record.tokens_per_s = {record.reviews_per_s.value * own.texts.mean_tokens, std::nullopt};
  return record;
}

}  // namespace

Result<std::vector<Record>> on_own_texts(std::span<const Record> known,
                                         std::span<const Record> own) {
  const Record* asked = asked_about(own);
  if (asked == nullptr) {
    return fail("known/texts",
                "the records hold no lengths of texts, so a GPU's record cannot be carried over to "
                "them",
                "measure them again with this breakeven");
  }
  const Sorted sorted = sort_rows(known);
  for (const Row& row : sorted.rows.rows()) BREAKEVEN_TRY_VOID(check_shape(*row.record, *asked));
  const std::vector<Family> families = fit_families(sorted.configurations);
  std::vector<Record> records;
  for (const Configuration& configuration : sorted.configurations) {
    const auto family = std::find_if(families.begin(), families.end(),
                                     [&](const Family& each) { return each.holds(configuration); });
    if (family == families.end() || !family->model) continue;
    for (const Row* row : configuration.all()) {
      const bool whole = row->cell().mode != Mode::paced && row->unusable.empty() &&
                         !row->record->texts.token_counts.empty();
      if (whole) records.push_back(carried(*row->record, *asked, *family->model));
    }
  }
  if (records.empty()) {
    return fail("known/model", "no row of the GPU's record has a latency model",
                "its journal needs serial rows of two batch sizes with the lengths of their texts");
  }
  return records;
}

}  // namespace breakeven::decide
