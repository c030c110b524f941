#include "report/paced.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/units.h"
#include "report/format.h"
#include "report/tables.h"

namespace breakeven::report {
namespace {

using record::Record;

constexpr std::array kHighPercentiles = {"p90", "p95", "p99", "p99.9"};

bool is_paced(const Record& record) {
  return record.cell.mode == "paced" && record.paced.has_value();
}

TableCell median_cell(const Record& record) {
  if (record.paced->saturated) return {"saturated", Style::bad};
  const auto found = record.latency_s.find("p50");
  if (found == record.latency_s.end()) return {"-", Style::dim};
  return {seconds_with_interval(found->second), Style::plain};
}

TableCell percentile_cell(const Record& record, const char* name) {
  const auto found = record.latency_s.find(name);
  if (found == record.latency_s.end()) return {"-", Style::dim};
  return {format_seconds(found->second.value), Style::plain};
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
    if (!is_paced(record) || record.verdict == record::Verdict::invalid || breaks_parity(record)) {
      continue;
    }
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
  for (auto name = kHighPercentiles.rbegin(); name != kHighPercentiles.rend(); ++name) {
    const auto found = record.latency_s.find(*name);
    if (found == record.latency_s.end() || std::string(*name) == "p99.9") continue;
    return fmt::format("{} {}", *name, format_seconds(found->second.value));
  }
  const auto median = record.latency_s.find("p50");
  return median == record.latency_s.end() ? "too few requests for a median"
                                          : "p50 " + format_seconds(median->second.value);
}

}  // namespace

Table paced_table(const std::vector<Record>& paced, const Keys& keys) {
  std::vector<Column> columns = keys.columns();
  std::vector<const char*> percentiles;
  for (const char* name : kHighPercentiles) {
    if (std::any_of(paced.begin(), paced.end(),
                    [&](const Record& record) { return record.latency_s.count(name) > 0; })) {
      percentiles.push_back(name);
    }
  }
  columns.push_back({"requests/s", false, 0});
  columns.push_back({"answered/s", false, 1});
  columns.push_back({"median [95 %]", false, 0});
  for (const char* name : percentiles) {
    columns.push_back({name, false, std::string(name) == "p99" ? 0 : 5});
  }
  columns.push_back({"busy", false, 3});
  columns.push_back({"texts a batch", false, 4});
  columns.push_back({"waits", false, 2});
  columns.push_back({"a batch takes", false, 6});
  columns.push_back({"samples", false, 7});
  columns.push_back({"result", true, 0});
  Table table(columns);
  for (const Record& record : paced) {
    if (!record.paced) continue;
    const record::Paced& seen = *record.paced;
    std::vector<TableCell> cells = keys.cells(record);
    cells.push_back({three_digits(record.cell.rate_per_s), {}});
    cells.push_back({three_digits(record.reviews_per_s.value), {}});
    cells.push_back(median_cell(record));
    for (const char* name : percentiles) cells.push_back(percentile_cell(record, name));
    cells.push_back({percent(seen.busy_share), {}});
    cells.push_back({three_digits(seen.mean_batch), {}});
    cells.push_back({wait_of(seen.wait_s_p50), {}});
    cells.push_back({format_seconds(seen.batch_s_p50), {}});
    cells.push_back({std::to_string(record.samples_s.size()), {}});
    cells.push_back(verdict_cell(record));
    table.add_row(std::move(cells));
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
                    record.cell.arrivals, counted(record.cell.batch, "text"),
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
