#include "decide/rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/units.h"
#include "measure/parity.h"
#include "measure/thresholds.h"

namespace breakeven::decide {
namespace {

using record::Record;

// Schema 1 called a row noisy for these; its rounds say it better.
constexpr std::string_view kOfPasses[] = {"spread", "not-steady", "few-passes"};

std::string machine_of(const Record& record) {
  return record.machine.hostname_hash + " " + record.machine.cpu_model + " " +
         (record.gpu ? record.gpu->name : "");
}

// '\n' stands between texts, so that two cannot run together unseen.
std::string cell_key(const Record& record) {
  const record::Cell& cell = record.cell;
  // Two draws of arrivals at one rate are two measurements.
  const std::uint64_t seed = record.paced ? record.paced->seed : 0;
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{} {} {} {} {} {}", machine_of(record),
                     record.model_hash, to_string(cell.runtime), to_string(cell.device),
                     to_string(cell.precision), to_string(cell.padding), to_string(cell.mode),
                     to_string(cell.arrivals), cell.batch, cell.threads, cell.max_length,
                     cell.rate_per_s, cell.max_wait_s, seed);
}

std::vector<std::string> doubts_of(const Record& record) {
  std::vector<std::string> doubts;
  std::set<std::string> codes;
  for (const record::Reason& reason : record.reasons) {
    if (reason.code == "carried-over") {
      doubts.push_back(reason.message);
    } else if (std::find(std::begin(kOfPasses), std::end(kOfPasses), reason.code) ==
               std::end(kOfPasses)) {
      codes.insert(reason.code);
    }
  }
  if (!codes.empty()) doubts.push_back(fmt::format("disturbed: {}", fmt::join(codes, ", ")));
  if (!record.parity) {
    doubts.emplace_back("parity not judged");
  } else if (record.parity->outcome == record::Agreement::unproven) {
    doubts.push_back("parity unproven on " + counted(record.parity->texts, "text"));
  }
  return doubts;
}

// Both intervals and what lies between them; the other one where there is only one.
std::optional<record::Interval> hull(const std::optional<record::Interval>& a,
                                     const std::optional<record::Interval>& b) {
  if (!a || !b) return a ? a : b;
  return record::Interval{std::min(a->low, b->low), std::max(a->high, b->high), a->confidence};
}

// The longest that a machine's rows of one model are cut at, and the accuracy of fp32 there.
struct FullLength {
  std::uint64_t tokens = 0;
  std::optional<double> accuracy;
};

std::map<std::string, FullLength> full_lengths(const std::vector<Row>& rows) {
  std::map<std::string, FullLength> lengths;
  for (const Row& row : rows) {
    std::uint64_t& tokens = lengths[row.record->model_hash].tokens;
    tokens = std::max(tokens, row.cell().max_length);
  }
  for (const Row& row : rows) {
    FullLength& full = lengths[row.record->model_hash];
    if (row.cell().precision != Precision::fp32 || row.cell().max_length != full.tokens) continue;
    if (row.record->accuracy && row.unusable.empty()) full.accuracy = row.record->accuracy->share;
  }
  return lengths;
}

// Cutting texts shorter makes another classifier, which the judge (cut alike) does not see.
std::optional<Cut> cut_of(const Record& record, const FullLength& full) {
  if (record.cell.max_length >= full.tokens || record.texts.truncated == 0) return std::nullopt;
  Cut cut{fmt::format("{} of {} texts cut at {} tokens", record.texts.truncated, record.texts.count,
                      record.cell.max_length),
          std::nullopt};
  if (record.accuracy && full.accuracy) {
    const double loss = *full.accuracy - record.accuracy->share;
    if (std::isfinite(loss)) cut.loss = loss;
  }
  return cut;
}

measure::RoundValues seconds_a_text(const Record& record) {
  const auto usable = [](double seconds) { return plausible(seconds); };
  // Without positions nobody knows which batches make a pass.
  const bool lost = record.cell.mode == Mode::serial && record.sample_positions.empty();
  if (record.texts.count == 0 || lost ||
      !std::all_of(record.samples_s.begin(), record.samples_s.end(), usable)) {
    return {};
  }
  measure::RoundValues values = measure::pass_seconds_by_round(record);
  for (auto& value : values) {
    if (value) *value /= static_cast<double>(record.texts.count);
  }
  return values;
}

std::size_t rounds_in(const measure::RoundValues& values) {
  return values.size() -
         static_cast<std::size_t>(std::count(values.begin(), values.end(), std::nullopt));
}

}  // namespace

Side side_of(const Record& record) {
  return record.cell.device.is_cpu() ? Side::cpu : Side::gpu;
}

bool plausible(double value) {
  constexpr double kTiny = 1e-9;
  constexpr double kHuge = 1e12;
  return std::isfinite(value) && value > kTiny && value < kHuge;
}

std::optional<record::Interval> interval_of(const record::Estimate& estimate) {
  if (!estimate.interval || !plausible(estimate.value)) return std::nullopt;
  record::Interval interval = *estimate.interval;
  interval.low = std::min(interval.low, estimate.value);
  interval.high = std::max(interval.high, estimate.value);
  if (!plausible(interval.low) || !plausible(interval.high)) return std::nullopt;
  return interval;
}

std::string unusable(const Record& record) {
  if (measure::breaks_parity(record)) {
    return fmt::format("outputs break parity ({} of {} labels differ)", record.parity->flips,
                       record.parity->texts);
  }
  if (const record::Reason* why = measure::why_invalid(record)) return "INVALID: " + why->code;
  if (record.cell.batch == 0) return "a batch of 0 texts is none";
  if (record.cell.max_length == 0) return "texts cut at 0 tokens are none";
  const auto& interval = record.reviews_per_s.interval;
  if (interval && interval->low > interval->high) {
    return fmt::format("its interval is reversed: [{}, {}] reviews/s", three_digits(interval->low),
                       three_digits(interval->high));
  }
  return "";
}

double low_end(const Row& row) {
  return row.per_s.interval ? row.per_s.interval->low : row.per_s.value * 1e-12;
}

record::Estimate inverse_of(const record::Estimate& estimate) {
  record::Estimate result{1 / estimate.value, std::nullopt, estimate.samples};
  if (estimate.interval && estimate.interval->low > 0) {
    result.interval = record::Interval{1 / estimate.interval->high, 1 / estimate.interval->low,
                                       estimate.interval->confidence};
  }
  return result;
}

std::string Row::why_unsure() const {
  if (per_s.interval) return "";
  return rounds < measure::kMinRounds ? fmt::format("fewer than {} rounds", measure::kMinRounds)
                                      : "its rounds differ beyond all reason";
}

RowSet::RowSet(std::span<const Record> records) {
  std::map<std::string, std::size_t> places;
  std::map<std::string, std::size_t> groups;
  bool any_schema_1 = false;
  for (const Record& record : records) {
    if (record.kind != record::Kind::cell) continue;
    any_schema_1 |= record.schema_version < 2 && record.cell.mode != Mode::paced;
    const auto [place, is_new] = places.emplace(cell_key(record), rows_.size());
    if (is_new) {
      rows_.emplace_back();
    } else {
      ++replaced_;
    }
    Row& row = rows_[place->second];
    row.record = &record;
    row.side = side_of(record);
    row.unusable = decide::unusable(record);
    row.doubts = doubts_of(record);
    const std::string group =
        record.run_id + "\n" + machine_of(record) + "\n" + to_string(record.cell.device);
    row.group = groups.emplace(group, groups.size()).first->second;
  }
  const std::map<std::string, FullLength> lengths = full_lengths(rows_);
  for (Row& row : rows_) row.cut = cut_of(*row.record, lengths.at(row.record->model_hash));
  noise_.resize(groups.size());
  add_rates();
  if (any_schema_1) {
    doubts_.emplace_back(
        "records without rounds (schema 1): complete passes stand in for them, and passes that "
        "follow each other are more alike than rounds, so true ranges are wider");
  }
}

void RowSet::add_rates() {
  for (const Row& row : rows_) {
    const bool counts = row.unusable.empty() && row.cell().mode != Mode::paced;
    seconds_.push_back(counts ? seconds_a_text(*row.record) : measure::RoundValues{});
  }
  for (std::size_t group = 0; group < noise_.size(); ++group) {
    std::vector<measure::RoundValues> of_group;
    std::vector<const Record*> records;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i].group != group) continue;
      of_group.push_back(seconds_[i]);
      records.push_back(rows_[i].record);
    }
    noise_[group] = measure::pooled_noise(of_group, measure::visited_together(records));
  }
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    Row& row = rows_[i];
    const Record& record = *row.record;
    row.rounds = seconds_[i].empty() ? record.passes : rounds_in(seconds_[i]);
    if (plausible(record.reviews_per_s.value)) {
      row.per_s = {record.reviews_per_s.value, std::nullopt, row.rounds};
    }
    const auto median = record.latency_s.find("p50");
    if (record.cell.mode == Mode::serial && median != record.latency_s.end() &&
        plausible(median->second.value)) {
      row.batch_s = {median->second.value, std::nullopt, median->second.samples};
    }
    if (row.rounds < measure::kMinRounds) continue;
    const record::Estimate pooled =
        inverse_of(measure::over_rounds(seconds_[i], noise_[row.group]));
    row.per_s.interval = hull(interval_of(record.reviews_per_s), interval_of(pooled));
    row.per_s.interval = interval_of(row.per_s);
    if (row.batch_s) row.batch_s->interval = interval_of(median->second);
  }
}

std::string RowSet::name_of(const Record& record) const {
  const record::Cell& cell = record.cell;
  std::vector<std::string> parts = {to_string(cell.device) + " " + to_string(cell.precision),
                                    fmt::format("batch {}", cell.batch)};
  const auto add = [&](const auto& value, const std::string& text, bool of_one_side = false) {
    const bool varies = std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) {
      if (of_one_side && row.side != side_of(record)) return false;
      return value(*row.record) != value(record);
    });
    if (varies) parts.push_back(text);
  };
  add([](const Record& r) { return r.model_hash; }, record.model_name);
  add([](const Record& r) { return to_string(r.cell.runtime); }, to_string(cell.runtime));
  // A GPU's cell has CPU threads, too; they are worth a word only where they vary on one side.
  add([](const Record& r) { return r.cell.threads; }, counted(cell.threads, "thread"), true);
  add([](const Record& r) { return r.cell.max_length; },
      fmt::format("max length {}", cell.max_length));
  add([](const Record& r) { return r.cell.padding; }, "padding " + to_string(cell.padding));
  add(machine_of, record.machine.cpu_model, true);
  return fmt::format("{}", fmt::join(parts, ", "));
}

record::Estimate RowSet::speed_ratio(const Row& a, const Row& b) const {
  const auto in_rounds = [](const Row& row) { return !row.record->rounds.empty(); };
  if (a.group == b.group && in_rounds(a) && in_rounds(b)) {
    const auto index = [&](const Row& row) {
      return static_cast<std::size_t>(&row - rows_.data());
    };
    const record::Estimate by_round =
        measure::ratio_by_round(seconds_[index(b)], seconds_[index(a)], noise_[a.group]);
    if (by_round.samples > 0) return by_round;
  }
  return measure::ratio_of(a.per_s, b.per_s);
}

}  // namespace breakeven::decide
