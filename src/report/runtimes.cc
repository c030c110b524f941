#include "report/runtimes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/units.h"
#include "measure/parity.h"
#include "report/format.h"
#include "report/tables.h"

namespace breakeven::report {
namespace {

// The native row that answers the same question.
const record::Record* native_beside(const std::vector<record::Record>& records, const Keys& keys,
                                    const record::Record& other) {
  const record::Record* found = nullptr;
  for (const record::Record& record : records) {
    if (!record.cell.runtime.is_native() || record.model_name != other.model_name ||
        keys.machine_letter(record) != keys.machine_letter(other) ||
        record.verdict == record::Verdict::invalid || measure::breaks_parity(record)) {
      continue;
    }
    record::Cell cell = other.cell;
    cell.runtime = {};
    cell.padding = record.cell.padding;
    if (!(cell == record.cell)) continue;
    if (found == nullptr || record.cell.padding == Padding::none) found = &record;
  }
  return found;
}

record::Interval bounds(const record::Estimate& estimate) {
  return estimate.interval.value_or(record::Interval{estimate.value, estimate.value});
}

// Each interval's far end against the other's near end: wider than need be, never too narrow.
std::string ratio(const record::Estimate& native, const record::Estimate& other) {
  if (native.value <= 0 || other.value <= 0) return "-";
  std::string value = times(native.value / other.value);
  if (!native.interval || !other.interval || other.interval->low <= 0) return value;
  return fmt::format("{} [{}, {}]", value, three_digits(bounds(native).low / bounds(other).high),
                     three_digits(bounds(native).high / bounds(other).low));
}

std::string compute_ratio(const record::Record& native, const record::Record& other) {
  if (!native.stages || !other.stages || native.stages->compute_s <= 0 ||
      other.stages->compute_s <= 0) {
    return "-";
  }
  return times(other.stages->compute_s / native.stages->compute_s);
}

}  // namespace

bool has_other_runtimes(const std::vector<record::Record>& records) {
  return std::any_of(records.begin(), records.end(),
                     [](const record::Record& record) { return !record.cell.runtime.is_native(); });
}

Table ratio_table(const std::vector<record::Record>& records, const Keys& keys) {
  Table table = keys.table({left("mode"), right("reviews/s", 1), right("native is [95 %]"),
                            right("compute alone"), left("result", 2)});
  for (const record::Record& record : records) {
    // Under a set load both answer what comes.
    const bool paced = record.cell.mode == Mode::paced;
    if (paced || record.cell.runtime.is_native() || record.reviews_per_s.value <= 0) continue;
    const record::Record* native = native_beside(records, keys, record);
    if (native == nullptr) continue;
    // A pass that the time cut short is of fewer and other texts: nothing to compare.
    const bool whole = native->passes > 0 && record.passes > 0;
    table.add_row(
        keys.row(record, {to_string(record.cell.mode), three_digits(record.reviews_per_s.value),
                          whole ? ratio(native->reviews_per_s, record.reviews_per_s) : "-",
                          whole ? compute_ratio(*native, record) : "-", verdict_cell(record)}));
  }
  return table;
}

std::vector<std::string> runtime_notes(const std::vector<record::Record>& records) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const record::Record& record : records) {
    if (record.cell.runtime.is_native() || record.runtime_settings.empty()) continue;
    std::vector<std::string> settings;
    for (const auto& [key, value] : record.runtime_settings) {
      settings.push_back(fmt::format("{} {}", key, value));
    }
    std::string line =
        fmt::format("{} {}: {}; tokenizer {}", to_string(record.cell.runtime),
                    to_string(record.cell.precision), fmt::join(settings, ", "), record.tokenizer);
    if (seen.insert(line).second) out.push_back(std::move(line));
  }
  return out;
}

std::vector<std::string> other_judge_notes(const std::vector<record::Record>& records) {
  std::map<std::string, std::map<std::string, const record::Parity*>> worst;  // judge, precision
  for (const record::Record& record : records) {
    if (!record.other_parity) continue;
    const record::Parity*& kept =
        worst[record.other_parity->judge][to_string(record.cell.precision)];
    if (kept == nullptr || record.other_parity->logit_abs_max > kept->logit_abs_max) {
      kept = &*record.other_parity;
    }
  }
  std::vector<std::string> out;
  for (const auto& [judge, precisions] : worst) {
    std::vector<std::string> parts;
    for (const auto& [precision, parity] : precisions) {
      parts.push_back(fmt::format("{} {} of {} labels differ, logits by up to {} ({})", precision,
                                  parity->flips, parity->texts, three_digits(parity->logit_abs_max),
                                  to_string(parity->outcome)));
    }
    out.push_back(fmt::format("Our rows as {} sees them: {}.", judge, fmt::join(parts, "; ")));
  }
  return out;
}

}  // namespace breakeven::report
