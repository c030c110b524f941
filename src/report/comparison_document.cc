#include "report/comparison_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/units.h"
#include "record/json_fields.h"
#include "report/format.h"

namespace breakeven::report {
namespace {

using decide::CellChange;
using decide::Change;
using decide::Comparison;
using decide::name_of_cell;

using Json = nlohmann::ordered_json;

Style style_of(Change change) {
  switch (change) {
    case Change::faster:
      return Style::good;
    case Change::slower:
      return Style::bad;
    case Change::cannot_tell:
      return Style::careful;
    case Change::same:
      break;
  }
  return Style::plain;
}

std::string ratio_text(const record::Estimate& ratio) {
  if (ratio.value <= 0) return "-";
  return ratio.interval
             ? fmt::format("{} [{}, {}]", three_digits(ratio.value),
                           three_digits(ratio.interval->low), three_digits(ratio.interval->high))
             : three_digits(ratio.value);
}

std::string summary(const Comparison& comparison) {
  std::size_t counts[4] = {};
  for (const CellChange& cell : comparison.cells) ++counts[static_cast<std::size_t>(cell.change)];
  std::string text = fmt::format("{}: {} faster, {} same, {} slower, {} can't tell.",
                                 counted(comparison.cells.size(), "common cell"), counts[0],
                                 counts[1], counts[2], counts[3]);
  switch (comparison.outcome) {
    case Change::slower:
      return text + " Slower.";
    case Change::cannot_tell:
      return text + (comparison.cells.empty()
                         ? " Can't tell: no cell stands in both files."
                         : " Can't tell: longer runs (--time) on a quiet machine narrow the "
                           "intervals, and `run --against` takes two builds in turns.");
    default:
      return text + " Nothing became slower.";
  }
}

Json interval_json(const record::Estimate& estimate) {
  if (!estimate.interval) return nullptr;
  return {{"low", estimate.interval->low},
          {"high", estimate.interval->high},
          {"confidence", estimate.interval->confidence}};
}

Json estimate_json(const record::Estimate& estimate) {
  return {{"value", estimate.value > 0 ? Json(estimate.value) : Json(nullptr)},
          {"interval", interval_json(estimate)},
          {"samples", estimate.samples}};
}

Json cells_json(const std::vector<record::Cell>& cells) {
  Json list = Json::array();
  for (const record::Cell& cell : cells) list.push_back(record::json_of(cell));
  return list;
}

}  // namespace

Document make_document(const Comparison& comparison) {
  Document document;
  document.heading("Before and after, cell by cell");
  Table table({left("cell"), right("before/s", 2), right("after/s", 2), right("time after/before"),
               left(""), left("note", 1)});
  for (const CellChange& cell : comparison.cells) {
    table.add_row({name_of_cell(cell.cell),
                   three_digits(cell.before_per_s.value),
                   three_digits(cell.after_per_s.value),
                   ratio_text(cell.ratio),
                   {std::string(to_string(cell.change)), style_of(cell.change)},
                   cell.doubt});
  }
  if (table.rows() > 0) document.table(std::move(table));
  document.paragraph(fmt::format(
      "A cell is slower (faster) when its whole interval lies beyond a change of {}, same when it "
      "lies within, else it cannot be told. The intervals hold together at 95 %: {} each.",
      percent(comparison.minimum_effect), percent(comparison.confidence)));
  const auto list = [&](const char* title, const std::vector<record::Cell>& cells) {
    if (cells.empty()) return;
    document.heading(title);
    for (const record::Cell& cell : cells) document.bullet(name_of_cell(cell));
  };
  list("Only before", comparison.only_before);
  list("Only after", comparison.only_after);
  if (!comparison.warnings.empty()) document.heading("Warnings");
  for (const std::string& warning : comparison.warnings) document.bullet(warning, Style::careful);
  document.heading("Verdict");
  document.paragraph(summary(comparison), style_of(comparison.outcome));
  return document;
}

std::string to_json(const Comparison& comparison) {
  Json cells = Json::array();
  for (const CellChange& cell : comparison.cells) {
    cells.push_back({{"cell", record::json_of(cell.cell)},
                     {"change", to_string(cell.change)},
                     {"time_ratio", estimate_json(cell.ratio)},
                     {"before_reviews_per_s", estimate_json(cell.before_per_s)},
                     {"after_reviews_per_s", estimate_json(cell.after_per_s)},
                     {"note", cell.doubt}});
  }
  const Json json = {{"outcome", to_string(comparison.outcome)},
                     {"minimum_effect", comparison.minimum_effect},
                     {"confidence", comparison.confidence},
                     {"cells", std::move(cells)},
                     {"only_before", cells_json(comparison.only_before)},
                     {"only_after", cells_json(comparison.only_after)},
                     {"warnings", comparison.warnings}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace breakeven::report
