#include "report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/units.h"
#include "measure/summary.h"
#include "measure/thresholds.h"
#include "report/format.h"

namespace breakeven::report {
namespace {

// A cell without how requests came to it, which is no part of a configuration.
record::Cell without_load(record::Cell cell) {
  cell.rate_per_s = 0;
  cell.arrivals = Arrivals::none;
  cell.max_wait_s = 0;
  return cell;
}

// The first record of every configuration (cell without its mode), in order.
std::vector<Records> by_configuration(const Records& records, const Keys& keys) {
  std::vector<Records> groups;
  for (const record::Record& record : records) {
    const auto same = [&](const Records& group) {
      record::Cell cell = without_load(group.front().cell);
      cell.mode = record.cell.mode;
      return cell == without_load(record.cell) && group.front().model_name == record.model_name &&
             keys.machine_letter(group.front()) == keys.machine_letter(record);
    };
    const auto found = std::find_if(groups.begin(), groups.end(), same);
    if (found == groups.end()) {
      groups.push_back({record});
    } else {
      found->push_back(record);
    }
  }
  return groups;
}

// Whether no record in `seen` has this configuration and mode; it is then added.
bool is_first(const record::Record& record, std::vector<const record::Record*>& seen) {
  const bool known = std::any_of(seen.begin(), seen.end(), [&](const record::Record* other) {
    return without_load(other->cell) == without_load(record.cell) &&
           other->model_hash == record.model_hash &&
           other->machine.hostname_hash == record.machine.hostname_hash;
  });
  if (!known) seen.push_back(&record);
  return !known;
}

// The worse of a configuration's modes.
const record::Parity* worst_parity(const Records& group) {
  const auto badness = [](const record::Parity& parity) {
    return parity.outcome == record::Agreement::failed     ? 2
           : parity.outcome == record::Agreement::unproven ? 1
                                                           : 0;
  };
  const record::Parity* worst = nullptr;
  for (const record::Record& record : group) {
    if (!record.parity) continue;
    if (worst == nullptr || badness(*record.parity) > badness(*worst) ||
        (badness(*record.parity) == badness(*worst) &&
         record.parity->logit_abs_max > worst->logit_abs_max)) {
      worst = &*record.parity;
    }
  }
  return worst;
}

TableCell parity_cell(const record::Parity& parity) {
  const Style style = parity.outcome == record::Agreement::passed   ? Style::good
                      : parity.outcome == record::Agreement::failed ? Style::bad
                                                                    : Style::careful;
  return {to_string(parity.outcome), style};
}

TableCell accuracy_cell(const Records& group) {
  for (const record::Record& record : group) {
    if (!record.accuracy) continue;
    return percent_with_interval(record.accuracy->share, record.accuracy->interval);
  }
  return no_value();
}

}  // namespace

std::vector<std::string> high_percentiles(const Records& records) {
  std::vector<std::string> names = {"p90", "p95", "p99", "p99.9"};
  std::erase_if(names, [&](const std::string& name) {
    return std::none_of(records.begin(), records.end(), [&](const record::Record& record) {
      return record.latency_s.contains(name);
    });
  });
  return names;
}

TableCell percentile_cell(const record::Record& record, const std::string& name) {
  const auto found = record.latency_s.find(name);
  if (found == record.latency_s.end()) return no_value();
  return name == "p50" ? seconds_with_interval(found->second) : format_seconds(found->second.value);
}

TableCell verdict_cell(const record::Record& record) {
  const record::Reason* why = measure::why_invalid(record);
  return why == nullptr ? TableCell("") : TableCell("INVALID " + why->code, Style::bad);
}

Table latency_table(const Records& serial, const Keys& keys) {
  const std::vector<std::string> percentiles = high_percentiles(serial);
  std::vector<Column> rest = {right("batch median [95 %]")};
  for (std::size_t i = 0; i < percentiles.size(); ++i) {
    rest.push_back(right(percentiles[i], static_cast<int>(i) + 3));
  }
  rest.push_back(right("samples", 8));
  rest.push_back(right("reviews/s", 1));
  rest.push_back(right("tokens/s", 2));
  rest.push_back(left("result"));
  Table table = keys.table(std::move(rest));
  for (const record::Record& record : serial) {
    std::vector<TableCell> cells = {percentile_cell(record, "p50")};
    for (const std::string& name : percentiles) cells.push_back(percentile_cell(record, name));
    cells.push_back(std::to_string(record.samples_s.size()));
    cells.push_back(three_digits(record.reviews_per_s.value));
    cells.push_back(three_digits(record.tokens_per_s.value));
    cells.push_back(verdict_cell(record));
    table.add_row(keys.row(record, std::move(cells)));
  }
  return table;
}

// A row that computing bounds says nothing by it: nearly all do.
bool bound_elsewhere(const record::Record& record) {
  return !record.bound.empty() && record.bound != "compute";
}

Table stage_table(const Records& serial, const Keys& keys) {
  const auto copies = [](const record::Record& record) {
    return record.stages && record.stages->upload_s + record.stages->download_s > 0;
  };
  const bool show_copies = std::any_of(serial.begin(), serial.end(), copies);
  std::vector<Column> rest = {right("tokenize"), right("pack", 1)};
  if (show_copies) rest.push_back(right("upload"));
  rest.push_back(right("compute"));
  if (show_copies) rest.push_back(right("download"));
  rest.push_back(right("decode", 1));
  const bool show_bound = std::any_of(serial.begin(), serial.end(), bound_elsewhere);
  if (show_bound) rest.push_back(left("bound by"));
  Table table = keys.table(std::move(rest));
  for (const record::Record& record : serial) {
    if (!record.stages) continue;
    const record::Stages& stages = *record.stages;
    const double total = total_s(stages);
    const auto time = [](double seconds) {
      return TableCell(seconds > 0 ? format_seconds(seconds) : "0");
    };
    std::vector<TableCell> cells = {time(stages.tokenize_s), time(stages.pack_s)};
    if (show_copies) cells.push_back(time(stages.upload_s));
    cells.push_back(time(stages.compute_s));
    if (show_copies) cells.push_back(time(stages.download_s));
    cells.push_back(time(stages.decode_s));
    const double share = total <= 0                    ? 0
                         : record.bound == "tokenizer" ? stages.tokenize_s / total
                         : record.bound == "transfer"
                             ? (stages.upload_s + stages.download_s) / total
                             : stages.compute_s / total;
    if (show_bound) {
      cells.push_back(bound_elsewhere(record) ? record.bound + " (" + percent(share) + ")" : "");
    }
    table.add_row(keys.row(record, std::move(cells)));
  }
  return table;
}

Table stream_table(const Records& stream, const Keys& keys) {
  const bool show_bound = std::any_of(stream.begin(), stream.end(), bound_elsewhere);
  std::vector<Column> columns = {right("in flight", 3), right("reviews/s [95 %]"),
                                 right("tokens/s", 2), right("a pass takes", 4),
                                 right("passes", 5)};
  if (show_bound) columns.push_back(left("bound by", 6));
  columns.push_back(left("result"));
  Table table = keys.table(std::move(columns));
  for (const record::Record& record : stream) {
    double sum = 0;
    for (const double seconds : record.samples_s) sum += seconds;
    const double mean =
        sum / static_cast<double>(std::max<std::size_t>(1, record.samples_s.size()));
    std::vector<TableCell> cells = {std::to_string(record.batches_in_flight),
                                    rate_with_interval(record.reviews_per_s),
                                    three_digits(record.tokens_per_s.value), format_seconds(mean),
                                    std::to_string(record.passes)};
    if (show_bound) cells.push_back(bound_elsewhere(record) ? record.bound : "");
    cells.push_back(verdict_cell(record));
    table.add_row(keys.row(record, std::move(cells)));
  }
  return table;
}

Table output_table(const Records& records, const Keys& keys) {
  Table table =
      keys.table({right("label flips"), right("max |dlogit|", 2), right("p99 |dlogit|/sigma", 3),
                  left("parity"), right("accuracy [95 %]")});
  for (const Records& group : by_configuration(records, keys)) {
    const record::Parity* parity = worst_parity(group);
    if (parity == nullptr) continue;
    const double sigma = parity->logit_sigma;
    table.add_row(keys.row(
        group.front(),
        {fmt::format("{} of {}", parity->flips, parity->texts), three_digits(parity->logit_abs_max),
         sigma > 0 ? three_digits(parity->logit_abs_p99 / sigma) : "-", parity_cell(*parity),
         accuracy_cell(group)}));
  }
  return table;
}

Table memory_table(const Records& records, const Keys& keys) {
  Table table = keys.table({left("mode"), right("weights"), right("activations", 1),
                            right("library", 3), right("peak allocated", 2), right("peak RSS")});
  const auto bytes = [](std::uint64_t count) {
    return TableCell(count == 0 ? "-" : format_bytes(static_cast<double>(count)));
  };
  std::vector<const record::Record*> seen;
  for (const record::Record& record : records) {
    if (!record.memory || !is_first(record, seen)) continue;
    const record::Memory& memory = *record.memory;
    table.add_row(
        keys.row(record, {to_string(record.cell.mode), bytes(memory.weight_bytes),
                          bytes(memory.activation_bytes), bytes(memory.library_bytes),
                          bytes(memory.peak_allocated_bytes), bytes(memory.peak_rss_bytes)}));
  }
  return table;
}

Table cold_start_table(const Records& records, const Keys& keys) {
  Table table = keys.table(
      {right("first label after"), right("load", 1), right("pack", 3), right("first pass", 2)});
  const auto time = [](double seconds) {
    return TableCell(seconds > 0 ? format_seconds(seconds) : "-");
  };
  std::vector<const record::Record*> seen;
  for (const record::Record& record : records) {
    if (!record.cold_start || !is_first(record, seen)) continue;
    const record::ColdStart& cold = *record.cold_start;
    table.add_row(keys.row(record, {time(cold.total_s), time(cold.load_s), time(cold.pack_s),
                                    time(cold.first_pass_s)}));
  }
  return table;
}

Table energy_table(const Records& records, const Keys& keys) {
  Table table = keys.table({left("mode"), right("host"), right("GPU"), right("together"),
                            right("above idle"), right("over", 1)});
  for (const record::Record& record : records) {
    const record::Energy& energy = record.energy;
    if (energy.texts == 0 || (!energy.host_joules_gross && !energy.gpu_joules_gross)) continue;
    const auto joules = [](const std::optional<double>& sum) -> TableCell {
      return sum ? three_digits(*sum) + " J" : no_value();
    };
    const auto alone = [&](const std::optional<double>& sum) {
      const auto texts = static_cast<double>(energy.texts);
      return joules(sum ? std::optional(*sum * 1000 / texts) : std::nullopt);
    };
    const measure::EnergyFor1000 together = measure::energy_for_1000(record);
    table.add_row(keys.row(
        record, {to_string(record.cell.mode), alone(energy.host_joules_gross),
                 alone(energy.gpu_joules_gross), joules(together.gross), joules(together.net),
                 fmt::format("{} s", three_digits(energy.window_s))}));
  }
  return table;
}

}  // namespace breakeven::report
