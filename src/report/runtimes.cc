#include "report/runtimes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/units.h"
#include "decide/verdict.h"
#include "report/format.h"
#include "report/tables.h"

namespace breakeven::report {
bool has_other_runtimes(const std::vector<record::Record>& records) {
  return std::any_of(records.begin(), records.end(),
                     [](const record::Record& record) { return !record.cell.runtime.is_native(); });
}

Table ratio_table(const std::vector<record::Record>& records, const Keys& keys) {
  Table table = keys.table({left("mode"), right("reviews/s", 1), right("native is [95 %]"),
                            right("compute alone"), left("result", 2)});
  const decide::RowSet rows(records);
  for (const decide::Peer& peer : decide::verdict_of(rows).peers) {
    const record::Record& record = *peer.native_over_peer.second->record;
    table.add_row(keys.row(
        record, {to_string(record.cell.mode), three_digits(record.reviews_per_s.value),
                 ratio_with_interval(peer.native_over_peer.ratio),
                 peer.compute_ratio ? times(*peer.compute_ratio) : "-", verdict_cell(record)}));
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
