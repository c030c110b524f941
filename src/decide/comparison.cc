#include "decide/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/units.h"
#include "decide/rows.h"
#include "measure/rounds.h"
#include "record/json.h"

namespace breakeven::decide {
namespace {

using record::Record;

// The last record of each cell, in order of first appearance.
std::vector<const Record*> last_of_each(std::span<const Record> records, const char* side,
                                        std::vector<std::string>& warnings) {
  std::vector<const Record*> kept;
  std::size_t replaced = 0;
  std::size_t studies = 0;
  for (const Record& record : records) {
    if (record.kind != record::Kind::cell) {
      ++studies;
      continue;
    }
    const auto same = std::find_if(kept.begin(), kept.end(),
                                   [&](const Record* other) { return other->cell == record.cell; });
    if (same == kept.end()) {
      kept.push_back(&record);
    } else {
      *same = &record;
      ++replaced;
    }
  }
  if (replaced > 0) {
    warnings.push_back(fmt::format("{}: {} measured more than once; the last record counts", side,
                                   counted(replaced, "cell")));
  }
  if (studies > 0) {
    warnings.push_back(fmt::format("{}: {} of another kind left out (only cells are compared)",
                                   side, counted(studies, "record")));
  }
  return kept;
}

Result<void> check_same_work(const Record& before, const Record& after) {
  const std::string cell = name_of_cell(before.cell);
  if (before.schema_version != after.schema_version) {
    return fail("compare/schema",
                fmt::format("{}: the records are of schema version {} and {}", cell,
                            before.schema_version, after.schema_version),
                "measure both with programs of one schema version");
  }
  if (before.model_hash != after.model_hash) {
    return fail(
        "compare/model",
        fmt::format("{}: the models differ: '{}' ({:.12}) and '{}' ({:.12})", cell,
                    before.model_name, before.model_hash, after.model_name, after.model_hash),
        "compare runs of one model");
  }
  if (before.texts.hash != after.texts.hash || before.texts.count != after.texts.count) {
    return fail("compare/texts",
                fmt::format("{}: the texts differ: {} of '{}' ({:.12}) and {} of '{}' ({:.12})",
                            cell, before.texts.count, before.texts.name, before.texts.hash,
                            after.texts.count, after.texts.name, after.texts.hash),
                "give both runs the same --texts, --count and --seed");
  }
  return {};
}

using Settings = std::map<std::string, std::string>;

Settings machine_of(const Record& record) {
  const record::Machine& machine = record.machine;
  Settings settings = {{"machine", machine.hostname_hash},
                       {"cpu_model", machine.cpu_model},
                       {"microcode", machine.microcode},
                       {"kernel", machine.kernel},
                       {"os", machine.os},
                       {"governor", machine.governor},
                       {"hypervisor", machine.hypervisor},
                       {"cpus_usable", std::to_string(machine.cpus_usable)},
                       {"cpu_quota", fmt::format("{}", machine.cpu_quota)},
                       {"memory_bytes", std::to_string(machine.memory_bytes)}};
  for (const auto& [name, value] : machine.more) settings["machine." + name] = value;
  if (record.gpu) {
    settings["gpu"] = record.gpu->name;
    settings["gpu.uuid"] = record.gpu->uuid;
    settings["gpu.driver"] = record.gpu->driver;
    settings["gpu.runtime"] = record.gpu->runtime;
  }
  return settings;
}

Settings build_of(const Record& record) {
  const record::Build& build = record.build;
  Settings settings = {{"version", build.version},
                       {"commit", build.commit + (build.dirty ? " with changes" : "")},
                       {"compiler", build.compiler},
                       {"flags", build.flags},
                       {"build_type", build.build_type},
                       {"instruction_set", record.instruction_set},
                       {"tokenizer", record.tokenizer},
                       {"batches_in_flight", std::to_string(record.batches_in_flight)}};
  for (const auto& [name, value] : build.libraries) settings["library " + name] = value;
  for (const auto& [name, value] : record.runtime_settings) settings["runtime " + name] = value;
  return settings;
}

void add_differences(const Settings& before, const Settings& after, std::set<std::string>& out) {
  std::set<std::string> names;
  for (const auto& [name, value] : before) names.insert(name);
  for (const auto& [name, value] : after) names.insert(name);
  const auto shown = [](const Settings& settings, const std::string& name) {
    const auto found = settings.find(name);
    return found == settings.end() || found->second.empty() ? "(none)" : found->second;
  };
  for (const std::string& name : names) {
    const std::string was = shown(before, name);
    const std::string is = shown(after, name);
    if (was != is) out.insert(fmt::format("{}: {} -> {}", name, was, is));
  }
}

bool all_usable(const std::vector<double>& seconds) {
  return std::all_of(seconds.begin(), seconds.end(),
                     [](double s) { return std::isfinite(s) && s > 0; });
}

// Why a record's times cannot be used; empty = they can.
std::string why_not(const Record& record, const char* side) {
  if (const std::string why = unusable(record); !why.empty()) {
    return fmt::format("{}: {}", side, why);
  }
  if (record.samples_s.empty()) return fmt::format("{} holds no samples", side);
  if (!all_usable(record.samples_s)) {
    return fmt::format("{} holds times that are not above 0", side);
  }
  if (record.paced && record.paced->saturated) {
    return fmt::format("{} is saturated: its latencies depend on how long it ran", side);
  }
  if (!record.sample_positions.empty() &&
      record.sample_positions.size() != record.samples_s.size()) {
    return fmt::format("{} holds {} positions for {} samples", side, record.sample_positions.size(),
                       record.samples_s.size());
  }
  return "";
}

// Whether both sides come from one `run --against`: what the machine does then hits both.
bool taken_in_turns(const Record& before, const Record& after) {
  const auto first = before.runtime_settings.find(std::string(kTurnsSetting));
  const auto second = after.runtime_settings.find(std::string(kTurnsSetting));
  return first != before.runtime_settings.end() && second != after.runtime_settings.end() &&
         first->second == second->second;
}

// Between two separate runs whose rows bear notes the machine itself may have changed by as much as
// a neighbour on the other hyperthread takes away, half of a core (docs/performance.md).
constexpr double kNeighboursFactor = 2;

// A machine whose speed moved by more than this between the rounds of a run moves between runs,
// too.
constexpr double kSteadyRange = 1.1;

bool is_steady(std::span<const Record> records) {
  const RowSet rows(records);
  return std::all_of(rows.rows().begin(), rows.rows().end(), [&](const Row& row) {
    return rows.noise_of(row).speed_range <= kSteadyRange;
  });
}

Change change_by(const record::Estimate& ratio, double effect, bool trust_same_machine) {
  if (!ratio.interval || ratio.value <= 0) return Change::cannot_tell;
  const double least = trust_same_machine ? 1 + effect : kNeighboursFactor;
  if (ratio.interval->low > least) return Change::slower;
  if (ratio.interval->high < 1 / least) return Change::faster;
  const bool within = ratio.interval->low >= 1 / least && ratio.interval->high <= least;
  return within && trust_same_machine ? Change::same : Change::cannot_tell;
}

// What was noted of either; "" = nothing.
std::string noise(const Record& before, const Record& after) {
  std::set<std::string> codes;
  for (const Record* record : {&before, &after}) {
    for (const record::Reason& reason : record->reasons) codes.insert(reason.code);
  }
  return codes.empty() ? "" : fmt::format("noisy: {}", fmt::join(codes, ", "));
}

// What each usable record of a side says in each round, and how much that varies on each device.
struct OneSide {
  std::map<const Record*, measure::RoundValues> values;
  std::map<Device, measure::Noise> noise;
};

// Values of one device, and which of them were measured one after the other.
struct Cells {
  std::vector<measure::RoundValues> values;
  std::vector<std::size_t> groups;
};

OneSide rounds_of(const std::vector<const Record*>& records) {
  OneSide side;
  for (const Record* record : records) {
    if (!why_not(*record, "").empty()) continue;
    side.values[record] = record->cell.mode == Mode::paced
                              ? measure::percentile_by_round(*record, 0.5)
                              : measure::pass_seconds_by_round(*record);
  }
  std::map<Device, std::vector<const Record*>> of_device;
  for (const auto& [record, values] : side.values) of_device[record->cell.device].push_back(record);
  for (const auto& [device, rows] : of_device) {
    std::vector<measure::RoundValues> cells;
    for (const Record* row : rows) cells.push_back(side.values.at(row));
    side.noise[device] = measure::pooled_noise(cells, measure::visited_together(rows));
  }
  return side;
}

class Comparer {
 public:
  // `steady`: the machine's speed did not move between the rounds of either run.
  Comparer(OneSide before, OneSide after, const CompareOptions& options, double confidence,
           bool steady)
      : before_(std::move(before)),
        after_(std::move(after)),
        options_(options),
        confidence_(confidence),
        steady_(steady) {
    std::map<Device, Cells> cells;
    for (const OneSide* side : {&before_, &after_}) {
      for (const auto& [record, values] : side->values) {
        Cells& of_device = cells[record->cell.device];
        of_device.values.push_back(values);
        of_device.groups.push_back(side == &before_ ? 0 : 1);
      }
    }
    for (const auto& [device, both] : cells) {
      in_turns_[device] = measure::pooled_noise(both.values, both.groups);
    }
  }

  CellChange change_of(const Record& before, const Record& after) const {
    CellChange result;
    result.cell = before.cell;
    result.before_per_s = before.reviews_per_s;
    result.after_per_s = after.reviews_per_s;
    result.doubt = why_not(before, "before");
    if (result.doubt.empty()) result.doubt = why_not(after, "after");
    if (!result.doubt.empty()) return result;
    const bool turns = taken_in_turns(before, after);
    result.doubt = noise(before, after);
    const bool trust_same_machine = turns || (steady_ && result.doubt.empty());
    result.ratio = ratio_of(before, after, turns);
    result.change = change_by(result.ratio, options_.minimum_effect, trust_same_machine);
    if (result.change == Change::cannot_tell) {
      std::string why = "the interval is too wide";
      if (before.rounds.empty() || after.rounds.empty()) {
        why = "no rounds in these records";
      } else if (!result.ratio.interval) {
        why = fmt::format("fewer than {} {}", measure::kMinRounds, turns ? "turns" : "rounds");
      } else if (!trust_same_machine) {
        why = "within what this machine does from one run to the next";
      }
      result.doubt = result.doubt.empty() ? why : why + "; " + result.doubt;
    }
    return result;
  }

 private:
  record::Estimate ratio_of(const Record& before, const Record& after, bool turns) const {
    const measure::RoundValues& was = before_.values.at(&before);
    const measure::RoundValues& is = after_.values.at(&after);
    const Device& device = before.cell.device;
    record::Estimate ratio =
        turns ? measure::ratio_by_round(is, was, in_turns_.at(device), confidence_)
              : measure::ratio_of_sides(is, after_.noise.at(device), was, before_.noise.at(device),
                                        confidence_);
    // Passes, which stand in for rounds in records of schema 1, are too much like each other.
    if (before.rounds.empty() || after.rounds.empty()) ratio.interval.reset();
    return ratio;
  }

  OneSide before_, after_;
  CompareOptions options_;
  double confidence_;
  bool steady_;
  std::map<Device, measure::Noise> in_turns_;  // of both sides, a side's cells in one stretch
};

Change outcome_of(const std::vector<CellChange>& cells) {
  const auto any = [&](Change change) {
    return std::any_of(cells.begin(), cells.end(),
                       [&](const CellChange& cell) { return cell.change == change; });
  };
  if (any(Change::slower)) return Change::slower;
  if (cells.empty() || any(Change::cannot_tell)) return Change::cannot_tell;
  return any(Change::faster) ? Change::faster : Change::same;
}

void warn_of_differences(const std::vector<std::pair<const Record*, const Record*>>& pairs,
                         std::vector<std::string>& warnings) {
  std::set<std::string> machine;
  std::set<std::string> build;
  for (const auto& [before, after] : pairs) {
    add_differences(machine_of(*before), machine_of(*after), machine);
    add_differences(build_of(*before), build_of(*after), build);
  }
  if (!machine.empty()) {
    warnings.push_back(fmt::format("the machines differ, so a change may be theirs: {}",
                                   fmt::join(machine, "; ")));
  }
  if (!build.empty())
    warnings.push_back(fmt::format("builds and settings: {}", fmt::join(build, "; ")));
}

}  // namespace

std::string_view to_string(Change change) {
  switch (change) {
    case Change::faster:
      return "faster";
    case Change::same:
      return "same";
    case Change::slower:
      return "slower";
    case Change::cannot_tell:
      break;
  }
  return "can't tell";
}

std::string name_of_cell(const record::Cell& cell) {
  const record::Cell usual;
  std::vector<std::string> parts = {to_string(cell.device) + " " + to_string(cell.precision),
                                    fmt::format("batch {}", cell.batch),
                                    counted(cell.threads, "thread")};
  if (cell.runtime.name != usual.runtime.name) parts.push_back(cell.runtime.name);
  if (!cell.runtime.variant.empty()) parts.push_back(cell.runtime.variant);
  if (cell.max_length != usual.max_length)
    parts.push_back(fmt::format("max length {}", cell.max_length));
  if (cell.padding != usual.padding) parts.push_back("padding " + to_string(cell.padding));
  parts.push_back(to_string(cell.mode));
  if (cell.mode == Mode::paced) {
    parts.push_back(fmt::format("{}/s {}, wait {} s", cell.rate_per_s, to_string(cell.arrivals),
                                cell.max_wait_s));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

Result<Comparison> compare(std::span<const Record> before, std::span<const Record> after,
                           const CompareOptions& options) {
  if (!(options.minimum_effect > 0 && options.minimum_effect < 1)) {
    return fail("compare/effect",
                fmt::format("a minimum effect of {:g} % is not above 0 % and below 100 %",
                            100 * options.minimum_effect),
                "give for example --minimum-effect 3%");
  }
  Comparison result;
  result.minimum_effect = options.minimum_effect;
  const auto old_cells = last_of_each(before, "before", result.warnings);
  const auto new_cells = last_of_each(after, "after", result.warnings);
  for (const auto& [cells, side] :
       {std::pair{&old_cells, "first"}, std::pair{&new_cells, "second"}}) {
    if (cells->empty()) {
      return fail("compare/empty", fmt::format("the {} journal holds no measured cell", side),
                  "give journals that `breakeven run` wrote");
    }
  }
  std::vector<std::pair<const Record*, const Record*>> pairs;
  std::set<const Record*> met;
  for (const Record* old_cell : old_cells) {
    const auto found = std::find_if(new_cells.begin(), new_cells.end(), [&](const Record* record) {
      return record->cell == old_cell->cell;
    });
    if (found == new_cells.end()) {
      result.only_before.push_back(old_cell->cell);
      continue;
    }
    BREAKEVEN_TRY_VOID(check_same_work(*old_cell, **found));
    pairs.emplace_back(old_cell, *found);
    met.insert(*found);
  }
  for (const Record* new_cell : new_cells) {
    if (met.count(new_cell) == 0) result.only_after.push_back(new_cell->cell);
  }
  const double cells = std::max(1.0, static_cast<double>(pairs.size()));
  result.confidence = 1 - (1 - options.confidence) / cells;
  const Comparer comparer(rounds_of(old_cells), rounds_of(new_cells), options, result.confidence,
                          is_steady(before) && is_steady(after));
  for (const auto& [old_cell, new_cell] : pairs) {
    result.cells.push_back(comparer.change_of(*old_cell, *new_cell));
  }
  warn_of_differences(pairs, result.warnings);
  result.outcome = outcome_of(result.cells);
  return result;
}

}  // namespace breakeven::decide
