#include "report/environment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/units.h"
#include "report/format.h"
#include "report/tables.h"

namespace breakeven::report {

Table environment_table(std::span<const record::Record> records) {
  std::vector<std::pair<std::string, std::set<std::string>>> rows;
  const auto add = [&](const std::string& what, const std::string& value) {
    if (value.empty()) return;
    for (auto& [known, values] : rows) {
      if (known == what) {
        values.insert(value);
        return;
      }
    }
    rows.push_back({what, {value}});
  };
  for (const record::Record& record : records) {
    const record::Machine& machine = record.machine;
    add("CPU", machine.cpu_model);
    add("instruction set", record.instruction_set);
    add("system", machine.os);
    add("kernel", machine.kernel);
    add("hypervisor", machine.hypervisor);
    add("governor", machine.governor);
    if (machine.memory_bytes > 0) {
      add("memory", format_bytes(static_cast<double>(machine.memory_bytes)));
    }
    if (record.gpu) {
      add("GPU", record.gpu->name);
      add("GPU driver", record.gpu->driver);
    }
    add("model hash", record.model_hash);
    add("texts", record.texts.name);
    add("texts hash", record.texts.hash);
    add("tokenizer", record.tokenizer);
    add("breakeven", record.build.version + " " + record.build.commit);
    add("compiler", record.build.compiler);
    add("measured", record.started_at);
    add("command", fmt::format("{}", fmt::join(record.command, " ")));
  }
  Table table({left("what"), left("value")});
  constexpr std::size_t kShown = 6;
  for (const auto& [what, values] : rows) {
    std::vector<std::string> shown;
    for (const std::string& value : values) {
      if (shown.size() < kShown) shown.push_back(value);
    }
    std::string text = fmt::format("{}", fmt::join(shown, "; "));
    if (values.size() > kShown) text += fmt::format("; and {} more", values.size() - kShown);
    table.add_row({what, printable(text)});
  }
  return table;
}

Table noise_table(std::span<const record::Record> records) {
  Table table({left("row"), left("result"), right("passes"), right("spread"), right("stolen"),
               right("other programs"), right("major faults"), right("clock")});
  const std::vector<record::Record> all(records.begin(), records.end());
  const Keys keys(all);
  for (const record::Record& record : all) {
    if (record.kind != record::Kind::cell) continue;
    std::vector<TableCell> row = {
        printable(keys.describe(record) + " " + to_string(record.cell.mode)), verdict_cell(record),
        std::to_string(record.passes), record.spread ? percent(*record.spread) : "-"};
    const auto& conditions = record.conditions;
    row.push_back(conditions ? percent(conditions->steal_share) : "-");
    row.push_back(conditions ? percent(conditions->foreign_cpu_share) : "-");
    row.push_back(conditions ? std::to_string(conditions->major_faults) : "-");
    row.push_back(conditions && conditions->cpu_mhz_median
                      ? three_digits(*conditions->cpu_mhz_median) + " MHz"
                      : "not shown");
    table.add_row(std::move(row));
  }
  return table;
}

}  // namespace breakeven::report
