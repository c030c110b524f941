#include "report/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/units.h"
#include "record/json.h"
#include "report/format.h"
#include "report/gpu_tables.h"
#include "report/html.h"
#include "report/keys.h"
#include "report/notes.h"
#include "report/paced.h"
#include "report/runtimes.h"
#include "report/scaling.h"
#include "report/shards.h"
#include "report/tables.h"
#include "report/verdict.h"

namespace breakeven::report {
namespace {

Records with_mode(const Records& records, Mode mode) {
  Records result;
  for (const record::Record& record : records) {
    if (record.cell.mode == mode) result.push_back(record);
  }
  return result;
}

template <class Describe>
std::string distinct(const Records& records, Describe describe) {
  std::vector<std::string> lines;
  std::set<std::string> seen;
  for (const record::Record& record : records) {
    std::string line = describe(record);
    if (!line.empty() && seen.insert(line).second) lines.push_back(std::move(line));
  }
  return fmt::format("{}", fmt::join(lines, "; "));
}

// A cell that ran out of time counts the tokens of fewer texts, and one that failed those of none:
// of the records over the same texts at the same length those with most tokens.
Records whole_passes(const Records& records) {
  const auto same = [](const record::Record& a, const record::Record& b) {
    return a.texts.hash == b.texts.hash && a.texts.name == b.texts.name &&
           (a.texts.count == b.texts.count || a.texts.count == 0) &&
           a.cell.max_length == b.cell.max_length;
  };
  Records result;
  for (const record::Record& record : records) {
    const bool larger = std::any_of(records.begin(), records.end(), [&](const auto& other) {
      return same(record, other) && other.texts.real_tokens > record.texts.real_tokens;
    });
    if (!larger) result.push_back(record);
  }
  return result;
}

void header(Document& document, const Records& records, const Keys& keys) {
  document.paragraph(distinct(records, [](const auto& record) { return record.model_name; }) +
                         ": " +
                         distinct(whole_passes(records),
                                  [](const auto& record) {
                                    if (record.texts.count == 0) return record.texts.name;
                                    return fmt::format("{} of {}, mean {:.0f} tokens",
                                                       counted(record.texts.count, "text"),
                                                       record.texts.name, record.texts.mean_tokens);
                                  }),
                     Style::strong);
  const auto& machines = keys.machines();
  for (std::size_t i = 0; i < machines.size(); ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    document.paragraph((machines.size() > 1 ? "machine " + letter + ": " : "") + machines[i]);
  }
  if (const std::string fixed = keys.fixed(); !fixed.empty()) document.paragraph(fixed);
}

void add_table(Document& document, const std::string& title, Table table) {
  if (table.rows() == 0) return;
  document.heading(title);
  document.table(std::move(table));
}

void cell_tables(Document& document, const Records& records, const Keys& keys) {
  const Records serial = with_mode(records, Mode::serial);
  const Records stream = with_mode(records, Mode::stream);
  if (!serial.empty()) {
    add_table(document, "Serial: latency, one batch in flight", latency_table(serial, keys));
    add_table(document, "Serial: where a batch's time goes", stage_table(serial, keys));
  }
  if (!stream.empty()) {
    add_table(document, "Stream: throughput, several batches in flight",
              stream_table(stream, keys));
  }
  add_table(document, "Paced: latency under a load, from when a request was due",
            paced_table(with_mode(records, Mode::paced), keys));
  if (has_other_runtimes(records)) {
    add_table(document, "Other runtimes: how many times faster native is",
              ratio_table(records, keys));
  }
  add_table(document, "Outputs against the judge", output_table(records, keys));
  add_table(document, "Memory, each in a fresh process", memory_table(records, keys));
  add_table(document, "GPU memory, each in a fresh process", gpu_memory_table(records, keys));
  add_table(document, "GPU: by device events, and what NVML saw meanwhile",
            gpu_table(records, keys));
  add_table(document, "Cold start: from the start of a fresh process to its first label",
            cold_start_table(records, keys));
  add_table(document, "Energy for 1,000 texts", energy_table(records, keys));
}

void bullets(Document& document, const std::string& title, const std::vector<std::string>& lines,
             Style style = Style::plain) {
  if (lines.empty()) return;
  document.heading(title);
  for (const std::string& line : lines) document.bullet(line, style);
}

void explain(Document& document, const Records& cells, const Keys& keys) {
  bullets(document, "What the other runtimes ran with", runtime_notes(cells));
  std::vector<std::string> notes = clock_notes(cells);
  for (std::string& note : paced_notes(cells)) notes.push_back(std::move(note));
  for (std::string& note : padding_notes(cells)) notes.push_back(std::move(note));
  for (std::string& note : output_notes(cells)) notes.push_back(std::move(note));
  for (std::string& note : energy_notes(cells)) notes.push_back(std::move(note));
  bullets(document, "How to read this", notes);
  bullets(document, "Warnings", warnings(cells, keys), Style::careful);
}

// The first screen, and answers of their own: latency under a load, and what `scale` found.
Document brief_document(std::span<const record::Record> records, const RenderOptions& options) {
  Records cells;
  Records paced;
  Records scalings;
  std::size_t shards = 0;
  for (const record::Record& record : records) {
    if (record.kind == record::Kind::shard) {
      ++shards;
      continue;
    }
    (record.kind == record::Kind::scaling ? scalings
     : record.cell.mode == Mode::paced    ? paced
                                          : cells)
        .push_back(record);
  }
  Document document;
  if (!cells.empty() || records.empty()) document = first_screen(cells, options.first);
  if (!paced.empty()) {
    const Keys keys(paced);
    add_table(document, "Paced: latency under a load, from when a request was due",
              paced_table(paced, keys));
    for (const std::string& line : paced_verdict(paced, keys)) document.bullet(line);
  }
  if (!scalings.empty()) scaling_blocks(document, scalings);
  if (shards > 0) shard_blocks(document, records, options.first);
  return document;
}

}  // namespace

Result<Format> parse_format(std::string_view text) {
  if (text == "table") return Format::table;
  if (text == "md") return Format::md;
  if (text == "csv") return Format::csv;
  if (text == "json") return Format::json;
  if (text == "jsonl") return Format::jsonl;
  if (text == "html") return Format::html;
  return fail("format/unknown", fmt::format("--format '{}' is not known", text),
              "choose table, md, csv, json, jsonl or html");
}

Parts make_parts(std::span<const record::Record> all) {
  Parts parts;
  Records cells;
  Records scalings;
  for (const record::Record& record : all) {
    if (record.kind == record::Kind::shard) continue;
    (record.kind == record::Kind::scaling ? scalings : cells).push_back(record);
  }
  if (!cells.empty()) {
    const Keys keys(cells);
    header(parts.header, cells, keys);
    cell_tables(parts.tables, cells, keys);
    explain(parts.notes, cells, keys);
    bullets(parts.verdict, "Verdict", verdict(cells, keys));
  }
  if (!scalings.empty()) scaling_blocks(parts.scaling, scalings);
  if (all.empty()) parts.header.paragraph("No records.");
  return parts;
}

Document make_document(std::span<const record::Record> all) {
  const Parts parts = make_parts(all);
  Document document = parts.header;
  for (const Document* part : {&parts.tables, &parts.notes, &parts.verdict, &parts.scaling}) {
    document.append(*part);
  }
  return document;
}

Result<std::string> render(std::span<const record::Record> records, const RenderOptions& options) {
  const auto document = [&] {
    if (!options.all) return brief_document(records, options);
    Document all = make_document(records);
    shard_blocks(all, records, options.first);
    return all;
  };
  switch (options.format) {
    case Format::table:
      return document().to_text(options.width, options.colour);
    case Format::md:
      return document().to_markdown();
    case Format::csv:
      return to_csv(records);
    case Format::json:
      return record::to_json_array(records);
    case Format::html:
      return to_html(records, options.start, options.first);
    case Format::jsonl:
      break;
  }
  std::string out;
  for (const record::Record& record : records) {
    BREAKEVEN_TRY(std::string line, record::to_json_line(record));
    out += line;
    out += '\n';
  }
  return out;
}

}  // namespace breakeven::report
