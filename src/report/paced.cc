#include "report/paced.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/units.h"
#include "decide/rows.h"
#include "measure/paced_limit.h"
#include "report/format.h"
#include "report/tables.h"

namespace breakeven::report {
namespace {

using record::Record;

bool is_paced(const Record& record) {
  return record.cell.mode == Mode::paced && record.paced.has_value();
}

std::string rate_of(const Record& record) {
  return three_digits(record.cell.rate_per_s) + "/s";
}

std::string wait_of(double seconds) {
  return seconds > 0 ? format_seconds(seconds) : "0";
}

// Paced rows of one configuration, which differ only in how requests came.
std::vector<std::vector<const Record*>> by_configuration(const std::vector<Record>& records,
                                                         const Keys& keys) {
  std::vector<std::vector<const Record*>> groups;
  for (const Record& record : records) {
    if (!is_paced(record) || !decide::unusable(record).empty()) continue;
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return keys.describe(*group.front()) == keys.describe(record) &&
             group.front()->cell.arrivals == record.cell.arrivals &&
             group.front()->cell.max_wait_s == record.cell.max_wait_s;
    });
    if (found == groups.end()) {
      groups.push_back({&record});
    } else {
      found->push_back(&record);
    }
  }
  for (auto& group : groups) {
    std::stable_sort(group.begin(), group.end(), [](const Record* a, const Record* b) {
      return a->cell.rate_per_s < b->cell.rate_per_s;
    });
  }
  return groups;
}

// "p99 84.1 ms", or the highest percentile that there is.
std::string best_percentile(const Record& record) {
  for (const char* name : {"p99", "p95", "p90"}) {
    const auto found = record.latency_s.find(name);
    if (found == record.latency_s.end()) continue;
    return fmt::format("{} {}", name, format_seconds(found->second.value));
  }
  const auto median = record.latency_s.find("p50");
  return median == record.latency_s.end() ? "too few requests for a median"
                                          : "p50 " + format_seconds(median->second.value);
}

// What a search under a limit found. `group`: by rate.
std::string found_rate(const std::vector<const Record*>& group, double limit_s) {
  const auto [kept, missed, times] = measure::proven_rate(group, limit_s);
  const std::string limit = format_seconds(limit_s);
  const std::string not_at =
      missed > 0 ? fmt::format("{}/s misses it", three_digits(missed)) : "no rate missed it";
  if (kept > 0) return fmt::format("{}/s keeps a p99 of {}; {}", three_digits(kept), limit, not_at);
  return fmt::format("no rate surely keeps a p99 of {}; {}; a longer --time may tell", limit,
                     not_at);
}

}  // namespace

Table paced_table(const std::vector<Record>& paced, const Keys& keys) {
  const std::vector<std::string> percentiles = high_percentiles(paced);
  std::vector<Column> columns = {right("requests/s"), right("answered/s", 1),
                                 right("median [95 %]")};
  for (const std::string& name : percentiles) columns.push_back(right(name, name == "p99" ? 0 : 5));
  columns.insert(columns.end(), {right("busy", 3), right("texts a batch", 4), right("waits", 2),
                                 right("a batch takes", 6), right("samples", 7), left("result")});
  Table table = keys.table(std::move(columns));
  for (const Record& record : paced) {
    if (!record.paced) continue;
    const record::Paced& seen = *record.paced;
    std::vector<TableCell> cells = {
        three_digits(record.cell.rate_per_s), three_digits(record.reviews_per_s.value),
        seen.saturated ? TableCell("saturated", Style::bad) : percentile_cell(record, "p50")};
    for (const std::string& name : percentiles) cells.push_back(percentile_cell(record, name));
    cells.insert(cells.end(), {percent(seen.busy_share), three_digits(seen.mean_batch),
                               wait_of(seen.wait_s_p50), format_seconds(seen.batch_s_p50),
                               std::to_string(record.samples_s.size()), verdict_cell(record)});
    table.add_row(keys.row(record, std::move(cells)));
  }
  return table;
}

std::vector<std::string> paced_notes(const std::vector<Record>& records) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  bool saturated = false;
  for (const Record& record : records) {
    if (!is_paced(record)) continue;
    saturated |= record.paced->saturated;
    std::string line =
        fmt::format("Paced: {} arrivals; up to {} a batch; a batch waits {} to fill.",
                    to_string(record.cell.arrivals), counted(record.cell.batch, "text"),
                    record.cell.max_wait_s > 0 ? "at most " + format_seconds(record.cell.max_wait_s)
                                               : "for nobody");
    if (seen.insert(line).second) out.push_back(std::move(line));
  }
  if (out.empty()) return out;
  out.emplace_back(
      "Paced: latency counts from the moment when a request was due, so that waking up, waiting "
      "for a batch and queueing are in it. 'waits' is the median time until a request's batch "
      "starts. The first tenth of the requests is played and not counted.");
  if (saturated) {
    out.emplace_back(
        "'saturated': more came than could be answered, so the queue and every latency grow as "
        "long as the load lasts; answered/s is what this batcher gets out of the machine.");
  }
  return out;
}

std::vector<std::string> paced_verdict(const std::vector<Record>& records, const Keys& keys) {
  std::vector<std::string> out;
  for (const auto& group : by_configuration(records, keys)) {
    const Record* kept = nullptr;
    const Record* lost = nullptr;
    for (const Record* record : group) {
      if (record->paced->saturated) {
        if (lost == nullptr) lost = record;
      } else {
        kept = record;
      }
    }
    std::string text = fmt::format("Under load, {}: ", keys.describe(*group.front()));
    if (group.front()->paced->p99_limit_s) {
      out.push_back(text + found_rate(group, *group.front()->paced->p99_limit_s) + ".");
      continue;
    }
    if (kept != nullptr) {
      text += fmt::format("keeps up with {} ({}, {} busy)", rate_of(*kept), best_percentile(*kept),
                          percent(kept->paced->busy_share));
    }
    if (lost != nullptr) {
      text += fmt::format("{}{} is too much (it answers {}/s)", kept == nullptr ? "" : "; ",
                          rate_of(*lost), three_digits(lost->reviews_per_s.value));
    }
    out.push_back(text + ".");
  }
  return out;
}

}  // namespace breakeven::report
