// A report from records: what `breakeven run`, `scale` and `report` show. Every format is made from
// the records alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/record.h"
#include "report/decision.h"
#include "report/document.h"
#include "report/first_screen.h"

namespace breakeven::report {

enum class Format : std::uint8_t { table, md, csv, json, jsonl, html };
Result<Format> parse_format(std::string_view text);  // errors: format/unknown

struct RenderOptions {
  Format format = Format::table;
  std::size_t width = 100;  // of the table format
  bool colour = false;      // of the table format
  bool all = false;         // table and md: every table and note instead of the first screen
  FirstScreen first;        // table, md, html
  Start start;              // html: prices and load that its sliders start with
};

// Errors: those of record::to_json_line.
Result<std::string> render(std::span<const record::Record> records, const RenderOptions& options);

// The parts of a report, for those who put them into another order.
struct Parts {
  Document header, tables, notes, verdict, scaling;
};
Parts make_parts(std::span<const record::Record> records);

// Tables, notes and verdict as blocks.
Document make_document(std::span<const record::Record> records);

// One line a record, with a header line; units stand in the column names (RFC 4180 quoting).
std::string to_csv(std::span<const record::Record> records);

}  // namespace breakeven::report
