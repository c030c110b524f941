#include "report/html.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>
#include <vector>

#include "base/units.h"
#include "report/charts.h"
#include "report/document.h"
#include "report/report.h"
#include "report/svg.h"

namespace breakeven::report {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --text: #1a1a1a; --dim: #5c5c5c; --back: #ffffff; --line: #d0d0d0;
  --good: #00694a; --careful: #8a5a00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #ececec; --dim: #a8a8a8; --back: #161616;
  --line: #444444; --good: #5fd0a5; --careful: #f0b54a; --bad: #ff8a80; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  margin: 0 auto; padding: 1rem; max-width: 72rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th.left, td.left { text-align: left; }
.strong { font-weight: 600; } .good { color: var(--good); } .careful { color: var(--careful); }
.bad { color: var(--bad); } .dim { color: var(--dim); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr));
  gap: 1.5rem; }
figure { margin: 0; break-inside: avoid; } figcaption { font-weight: 600; }
svg { max-width: 100%; height: auto; } figure > svg { width: 100%; }
svg text { fill: var(--text); font-size: 12px; } svg .grid { stroke: var(--line); }
.legend { list-style: none; padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: 0.2rem 1rem;
  font-size: 0.85rem; }
pre { overflow-x: auto; font-size: 0.75rem; border: 1px solid var(--line); padding: 0.5rem; }
@media print { body { max-width: none; } pre { white-space: pre-wrap; } }
)";

std::string_view class_of(Style style) {
  switch (style) {
    case Style::plain:
      return "";
    case Style::strong:
      return "strong";
    case Style::good:
      return "good";
    case Style::careful:
      return "careful";
    case Style::bad:
      return "bad";
    case Style::dim:
      return "dim";
  }
  return "";
}

std::string element(std::string_view name, std::string_view classes, const std::string& text) {
  const std::string attribute = classes.empty() ? "" : fmt::format(" class=\"{}\"", classes);
  return fmt::format("<{0}{1}>{2}</{0}>", name, attribute, escape_html(text));
}

std::string classes_of(const Column& column, Style style) {
  const std::string_view colour = class_of(style);
  if (!column.left) return std::string(colour);
  return colour.empty() ? "left" : fmt::format("left {}", colour);
}

std::string table_html(const Table& table) {
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (const Column& column : table.columns()) {
    out += element("th", classes_of(column, Style::plain), column.title);
  }
  out += "</tr></thead><tbody>\n";
  for (const std::vector<TableCell>& row : table.cells()) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += element("td", classes_of(table.columns()[i], row[i].style), row[i].text);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string document_html(const Document& document) {
  std::string out;
  bool in_list = false;
  for (const Block& block : document.blocks()) {
    const bool bullet = block.kind == Block::Kind::bullet;
    if (bullet != in_list) out += bullet ? "<ul>\n" : "</ul>\n";
    in_list = bullet;
    switch (block.kind) {
      case Block::Kind::heading:
        out += element("h2", "", block.text) + "\n";
        break;
      case Block::Kind::paragraph:
        out += element("p", class_of(block.style), block.text) + "\n";
        break;
      case Block::Kind::bullet:
        out += element("li", class_of(block.style), block.text) + "\n";
        break;
      case Block::Kind::table:
        out += table_html(*block.table);
        break;
    }
  }
  return out + (in_list ? "</ul>\n" : "");
}

// One row a thing to know of the machines and builds behind the records.
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
  Table table({{"what", true, 0}, {"value", true, 0}});
  constexpr std::size_t kShown = 6;
  for (const auto& [what, values] : rows) {
    std::vector<std::string> shown;
    for (const std::string& value : values) {
      if (shown.size() < kShown) shown.push_back(value);
    }
    std::string text = fmt::format("{}", fmt::join(shown, "; "));
    if (values.size() > kShown) text += fmt::format("; and {} more", values.size() - kShown);
    table.add_row({{what, {}}, {printable(text), {}}});
  }
  return table;
}

}  // namespace

std::string to_html(std::span<const record::Record> records) {
  const Parts parts = make_parts(records);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\" />\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\" />\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
      "<title>breakeven report</title>\n<style>";
  out += kStyle;
  out += "</style></head><body>\n<h1>breakeven: CPU or GPU?</h1>\n";
  out += document_html(parts.header);
  out += document_html(parts.verdict);
  const std::vector<std::string> drawn = charts({records.begin(), records.end()});
  if (!drawn.empty()) {
    out +=
        "<h2>Charts</h2>\n<p class=\"dim\">Rows that are INVALID or break parity are in the "
        "tables only. Bars at a point are its 95 % interval.</p>\n<div class=\"charts\">\n";
    for (const std::string& chart : drawn) out += chart;
    out += "</div>\n";
  }
  out += document_html(parts.tables);
  out += document_html(parts.scaling);
  out += document_html(parts.notes);
  if (!records.empty()) {
    out += "<h2>Environment</h2>\n" + table_html(environment_table(records));
    out += "<h2>Numbers</h2>\n<details><summary>Every row as CSV, to copy</summary><pre>";
    for (const char c : to_csv(records)) {
      out += c == '\n' ? std::string("\n") : escape_html(std::string_view(&c, 1));
    }
    out += "</pre></details>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace breakeven::report
