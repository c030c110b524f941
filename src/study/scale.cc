#include "study/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <random>

#include "base/check.h"
#include "base/limits.h"
#include "measure/environment.h"
#include "measure/rounds.h"
#include "measure/statistics.h"
#include "measure/thresholds.h"
#include "study/cell_run.h"
#include "study/judging.h"

namespace breakeven::study {
namespace {

// The lowest bits of `i` in the opposite order, as many as `power` (a power of two) has zeros.
std::size_t mirrored_bits(std::size_t i, std::size_t power) {
  std::size_t result = 0;
  for (; power > 1; power >>= 1U) {
    result = (result << 1U) | (i & 1U);
    i >>= 1U;
  }
  return result;
}

// One cell of the study: rounds over its sizes.
class ScaleRun {
 public:
  ScaleRun(const record::Cell& cell, const ScaleInput& input, const Tools& tools)
      : cell_(cell),
        input_(input),
        tools_(tools),
        watch_(tools.root, *tools.clock),
        seconds_(input.sizes.size()) {}

  Result<void> warm_up(Classifier& classifier);
  // Every size once, in the order given. Stops between sizes.
  Result<void> round(Classifier& classifier, std::span<const std::size_t> order,
                     record::Round round);
  std::size_t rounds() const { return seconds_.empty() ? 0 : seconds_.back().size(); }
  // The largest size of each round as the record's round; `noise`: of all sizes of all cells that
  // were measured in the same rounds.
  Result<record::Record> make_record(const Judges& judges, const measure::Noise& noise) const;
  // Seconds of each size.
  const std::vector<measure::RoundValues>& seconds() const { return seconds_; }

 private:
  bool stopped() const { return tools_.stop != nullptr && tools_.stop->load(); }
  Result<double> pass(Classifier& classifier, std::size_t begin, std::size_t end,
                      MoreOutputs* outputs);

  record::Cell cell_;
  const ScaleInput& input_;
  const Tools& tools_;
  measure::ConditionsWatch watch_;
  std::vector<measure::RoundValues> seconds_;  // [size][round]
  std::vector<record::Round> rounds_;
  MoreOutputs outputs_;  // of the judged texts
  ClassifierInfo info_;
  BatchResult batch_;
  double warmup_s_ = 0;
};

// Seconds of one pass over the texts from `begin` to `end`, the last batch as large as they leave
// it.
Result<double> ScaleRun::pass(Classifier& classifier, std::size_t begin, std::size_t end,
                              MoreOutputs* outputs) {
  const std::span<const Text> all(input_.base.texts);
  double seconds = 0;
  for (; begin < end; begin += cell_.batch) {
    const auto group = all.subspan(begin, std::min<std::size_t>(cell_.batch, end - begin));
    const double start = tools_.clock->now_s();
    BREAKEVEN_TRY_VOID(classifier.run_batch(group, batch_));
    const double waited = tools_.clock->now_s() - start;
    seconds += batch_.seconds > 0 ? batch_.seconds : waited;
    if (outputs == nullptr) continue;
    outputs->logits.insert(outputs->logits.end(), batch_.logits.begin(), batch_.logits.end());
    outputs->labels.insert(outputs->labels.end(), batch_.labels.begin(), batch_.labels.end());
  }
  return seconds;
}

Result<void> ScaleRun::warm_up(Classifier& classifier) {
  outputs_ = {};
  // The largest size holds the smaller ones' batches; its first texts are judged.
  BREAKEVEN_TRY(warmup_s_, pass(classifier, 0, input_.sizes.back(), &outputs_));
  // But not the last one of each, which is cut where the size ends: a shape of its own.
  for (const std::uint64_t size : input_.sizes) {
    BREAKEVEN_TRY(const double last_s, pass(classifier, size - size % cell_.batch, size, nullptr));
    warmup_s_ += last_s;
  }
  info_ = classifier.info();  // with what the first batches have chosen
  const std::size_t judged = std::min(input_.base.timed, outputs_.labels.size());
  const std::size_t class_count = outputs_.logits.size() / outputs_.labels.size();
  outputs_.labels.resize(judged);
  outputs_.logits.resize(judged * class_count);
  return {};
}

Result<void> ScaleRun::round(Classifier& classifier, std::span<const std::size_t> order,
                             record::Round round) {
  std::vector<std::pair<std::size_t, double>> measured;
  watch_.start();
  for (const std::size_t i : order) {
    if (stopped()) break;
    BREAKEVEN_TRY(const double seconds, pass(classifier, 0, input_.sizes[i], nullptr));
    measured.emplace_back(i, seconds);
  }
  watch_.stop();
  // Half a round would leave sizes with unequal numbers of samples.
  if (measured.size() < order.size()) return {};
  for (const auto& [i, seconds] : measured) seconds_[i].emplace_back(seconds);
  round.passes = 1;
  round.pass_s = *seconds_.back().back();
  rounds_.push_back(round);
  return {};
}

Result<record::Record> ScaleRun::make_record(const Judges& judges,
                                             const measure::Noise& noise) const {
  record::Record record = input_.base.prototype;
  record.kind = record::Kind::scaling;
  record.cell = cell_;
  record.instruction_set = info_.instruction_set;
  record.tokenizer = info_.tokenizer;
  record.runtime_settings = info_.settings;
  record.passes = rounds();
  record.rounds = rounds_;
  record.warmup_passes = 1;
  record.warmup_s = warmup_s_;
  record.texts.count = input_.sizes.back();
  record::Scaling scaling;
  std::uint64_t tokens = 0;
  std::size_t text = 0;
  for (std::size_t i = 0; i < input_.sizes.size(); ++i) {
    const std::uint64_t size = input_.sizes[i];
    for (; text < size; ++text) tokens += input_.tokens[text];
    record::ScalingPoint point;
    point.texts = size;
    point.batches = (size + cell_.batch - 1) / cell_.batch;
    point.tokens = tokens;
    point.seconds = measure::over_rounds(seconds_[i], noise);
    scaling.points.push_back(point);
  }
  record.texts.real_tokens = tokens;
  record.texts.mean_tokens = static_cast<double>(tokens) / static_cast<double>(text);
  fit_scaling(scaling);
  record.scaling = std::move(scaling);
  BREAKEVEN_TRY_VOID(judges.judge(outputs_.logits, outputs_.labels, 0, record));
  record.conditions = watch_.conditions();
  measure::check_threshold(record, "steal", record.conditions->steal_share,
                           "the hypervisor took CPU time away");
  measure::check_threshold(record, "foreign-cpu", record.conditions->foreign_cpu_share,
                           "other programs used the CPUs");
  measure::check_threshold(record, "parity",
                           record.parity->outcome == record::Agreement::failed ? 1 : 0,
                           "the outputs are not those of the fp32 model");
  return record;
}

// All cells of a study, visited in turns.
class ScaleStudy {
 public:
  ScaleStudy(const ScaleInput& input, const Tools& tools)
      : input_(input), tools_(tools), random_(input.base.seed) {}

  Result<Outcome> run();

 private:
  bool stopped() const { return tools_.stop != nullptr && tools_.stop->load(); }
  // A group's cells share a classifier; their rounds take turns until the group's time is over.
  Result<void> run_group(const Group& group, std::deque<ScaleRun>& runs, double time_s);

  const ScaleInput& input_;
  const Tools& tools_;
  std::mt19937_64 random_;
  double start_s_ = 0;
  std::uint64_t round_ = 0;  // of all groups
};

Result<void> ScaleStudy::run_group(const Group& group, std::deque<ScaleRun>& runs, double time_s) {
  BREAKEVEN_TRY(const std::unique_ptr<Classifier> classifier, tools_.make(group.spec));
  const auto elapsed_s = [&] { return tools_.clock->now_s() - start_s_; };
  const double begin = elapsed_s();
  for (const std::size_t i : group.cells) BREAKEVEN_TRY_VOID(runs[i].warm_up(*classifier));
  std::vector<std::size_t> order(input_.sizes.size());
  std::iota(order.begin(), order.end(), 0U);
  std::vector<std::size_t> cells = group.cells;
  for (std::size_t round = 0; round < input_.max_rounds && !stopped(); ++round, ++round_) {
    if (round >= input_.min_rounds && elapsed_s() - begin >= time_s) break;
    if (tools_.progress != nullptr) {
      const double total = input_.base.time_s;
      tools_.progress->update(
          fmt::format("{} {} {} round {}", group.spec.runtime.name, to_string(group.spec.device),
                      to_string(group.spec.precision), round + 1),
          std::min(1.0, elapsed_s() / total), std::max(0.0, total - elapsed_s()));
    }
    std::shuffle(cells.begin(), cells.end(), random_);
    for (const std::size_t i : cells) {
      std::shuffle(order.begin(), order.end(), random_);
      record::Round visit{round_, elapsed_s(), 0, 0, {}};
      if (tools_.reference) visit.reference_s = tools_.reference();
      BREAKEVEN_TRY_VOID(runs[i].round(*classifier, order, visit));
    }
  }
  return {};
}

Result<Outcome> ScaleStudy::run() {
  start_s_ = tools_.clock->now_s();
  // Judges look at the first texts only: what is asked here is time.
  Input judged = input_.base;
  judged.cells = input_.cells;
  judged.texts.resize(judged.timed);
  if (judged.labels.size() > judged.timed) judged.labels.resize(judged.timed);
  if (judged.originals.size() > judged.timed) judged.originals.resize(judged.timed);
  if (tools_.progress != nullptr) tools_.progress->update("judging", 0, input_.base.time_s);
  Judges judges(judged, tools_);
  if (auto prepared = judges.prepare(); !prepared) {
    if (prepared.error().code == "parity/interrupted") return Outcome{{}, true, {}};
    return propagate(std::move(prepared));
  }
  std::deque<ScaleRun> runs;
  for (const record::Cell& cell : input_.cells) runs.emplace_back(cell, input_, tools_);
  const std::vector<Group> groups = group_cells(input_.cells);
  const double left_s = input_.base.time_s - (tools_.clock->now_s() - start_s_);
  const double per_cell_s = left_s / static_cast<double>(input_.cells.size());
  Outcome outcome;
  for (const Group& group : groups) {
    if (stopped()) break;
    BREAKEVEN_TRY_VOID(
        run_group(group, runs, per_cell_s * static_cast<double>(group.cells.size())));
    std::vector<measure::RoundValues> all;
    for (const std::size_t i : group.cells) {
      all.insert(all.end(), runs[i].seconds().begin(), runs[i].seconds().end());
    }
    const measure::Noise noise = measure::pooled_noise(all);
    for (const std::size_t i : group.cells) {
      if (runs[i].rounds() < input_.min_rounds) continue;  // Ctrl-C came first
      BREAKEVEN_TRY(record::Record record, runs[i].make_record(judges, noise));
      if (tools_.keep) BREAKEVEN_TRY_VOID(tools_.keep(record));
      outcome.records.push_back(std::move(record));
    }
  }
  outcome.interrupted = stopped();
  for (const std::string& note : judges.notes()) outcome.notes.push_back(note);
  return outcome;
}

}  // namespace

std::vector<std::size_t> length_matched_order(std::span<const std::uint32_t> lengths) {
  std::vector<std::size_t> by_length(lengths.size());
  std::iota(by_length.begin(), by_length.end(), 0U);
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](std::size_t a, std::size_t b) { return lengths[a] < lengths[b]; });
  // Walk the ranks in van der Corput's order; it visits each rank once when the points beyond the
  // last rank are passed over. The turn by a third keeps short prefixes from always taking the
  // shortest text of each stretch.
  std::size_t power = 1;
  while (power < lengths.size()) power *= 2;
  std::vector<std::size_t> order;
  order.reserve(lengths.size());
  for (std::size_t i = 0; i < power; ++i) {
    const std::size_t rank = (mirrored_bits(i, power) + power / 3) % power;
    if (rank < lengths.size()) order.push_back(by_length[rank]);
  }
  return order;
}

std::vector<std::uint64_t> spread_sizes(std::uint64_t smallest, std::uint64_t largest,
                                        std::uint64_t multiple, std::size_t count) {
  BREAKEVEN_CHECK(multiple > 0 && count > 1 && smallest > 0);
  const std::uint64_t low = (smallest + multiple - 1) / multiple;
  const std::uint64_t high = largest / multiple;
  std::vector<std::uint64_t> sizes;
  if (high < low) return sizes;
  const double ratio = static_cast<double>(high) / static_cast<double>(low);
  for (std::size_t i = 0; i < count; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count - 1);
    auto step =
        static_cast<std::uint64_t>(std::llround(static_cast<double>(low) * std::pow(ratio, share)));
    // Small multiples round to the same one: take the next, so that there are as many sizes as
    // asked.
    if (!sizes.empty()) step = std::max(step, sizes.back() / multiple + 1);
    if (step > high) break;
    sizes.push_back(step * multiple);
  }
  return sizes;
}

void fit_scaling(record::Scaling& scaling) {
  std::vector<double> texts;
  std::vector<double> seconds;
  std::vector<double> weights;
  for (const record::ScalingPoint& point : scaling.points) {
    texts.push_back(static_cast<double>(point.texts));
    seconds.push_back(point.seconds.value);
    weights.push_back(1 / (point.seconds.value * point.seconds.value));
  }
  const measure::LineFit fit = measure::fit_line(texts, seconds, weights);
  scaling.intercept_s = fit.intercept;
  scaling.slope_s_per_text = fit.slope;
  scaling.residual_relative_max = fit.residual_relative_max;
  for (std::size_t i = 0; i < scaling.points.size(); ++i) {
    scaling.points[i].residual_s = fit.residuals[i];
  }
  scaling.log_log_slope = measure::log_log_slope(texts, seconds);
  const double allowed = limit("scale/log_log_slope");
  scaling.outcome = record::Linearity::cannot_tell;
  if (!scaling.log_log_slope.interval) return;
  const record::Interval& interval = *scaling.log_log_slope.interval;
  if (interval.low >= 1 - allowed && interval.high <= 1 + allowed)
    scaling.outcome = record::Linearity::linear;
  if (interval.low > 1 + allowed || interval.high < 1 - allowed)
    scaling.outcome = record::Linearity::not_linear;
}

Result<Outcome> run_scale(const ScaleInput& input, const Tools& tools) {
  BREAKEVEN_CHECK(input.sizes.size() >= 3 && input.sizes.back() <= input.base.texts.size() &&
                      input.tokens.size() == input.base.texts.size(),
                  "sizes={} texts={}", input.sizes.size(), input.base.texts.size());
  return ScaleStudy(input, tools).run();
}

}  // namespace breakeven::study
