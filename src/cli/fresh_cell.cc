#include "cli/fresh_cell.h"

#include <algorithm>

#include "base/json.h"
#include "cli/interrupt.h"
#include "measure/child.h"
#include "record/json_fields.h"

namespace breakeven::cli {
namespace {

constexpr double kLimit_s = 900;

// A message between our own processes; what is wrong with one is our own mistake.
Result<JsonDocument> parse_message(const char* code, const std::string& text) {
  return JsonDocument::parse(text, {"a message between our own processes", code, code, ""});
}

}  // namespace

std::string to_json(const CellRequest& request) {
  record::OrderedJson texts = record::OrderedJson::array();
  for (const OwnedText& text : request.texts) {
    texts.push_back(text.second ? record::OrderedJson{text.first, *text.second}
                                : record::OrderedJson(text.first));
  }
  const record::OrderedJson value = {{"cell", record::json_of(request.cell)},
                                     {"model", request.model},
                                     {"instruction_set", request.instruction_set},
                                     {"texts", std::move(texts)}};
  // Texts may hold any bytes; invalid UTF-8 counts as U+FFFD in the tokenizer too.
  return value.dump(-1, ' ', false, record::OrderedJson::error_handler_t::replace);
}

Result<CellRequest> parse_cell_request(const std::string& text) {
  BREAKEVEN_TRY(const JsonDocument document, parse_message("cell/request", text));
  BREAKEVEN_TRY(const JsonObject object, document.object());
  CellRequest request;
  BREAKEVEN_TRY(request.cell, record::from_json<record::Cell>(object, "cell"));
  BREAKEVEN_TRY(request.model, object.text("model"));
  BREAKEVEN_TRY(request.instruction_set, object.text("instruction_set"));
  BREAKEVEN_TRY(const auto texts, object.list("texts"));
  for (const JsonValue one : texts) {
    OwnedText& owned = request.texts.emplace_back();
    const std::vector<JsonValue> pair = one.list();
    BREAKEVEN_TRY(owned.first, object.as_text(pair.empty() ? one : pair[0], "texts"));
    if (pair.size() < 2) continue;
    BREAKEVEN_TRY(owned.second, object.as_text(pair[1], "texts"));
  }
  return request;
}

std::string to_json(const CellAnswer& answer) {
  const record::OrderedJson value = {{"memory", record::json_of(answer.memory)},
                                     {"loaded_s", answer.loaded_s},
                                     {"packed_s", answer.packed_s},
                                     {"first_label_s", answer.first_label_s}};
  return value.dump();
}

Result<CellAnswer> parse_cell_answer(const std::string& text) {
  BREAKEVEN_TRY(const JsonDocument document, parse_message("cell/answer", text));
  BREAKEVEN_TRY(const JsonObject object, document.object());
  CellAnswer answer;
  BREAKEVEN_TRY(answer.memory, record::from_json<record::Memory>(object, "memory"));
  BREAKEVEN_TRY(answer.loaded_s, object.number("loaded_s"));
  BREAKEVEN_TRY(answer.packed_s, object.number("packed_s"));
  BREAKEVEN_TRY(answer.first_label_s, object.number("first_label_s"));
  return answer;
}

std::vector<Text> texts_for_fresh(std::span<const Text> pass, std::size_t batch) {
  const auto batch_at = [&](std::size_t begin) {
    return pass.subspan(begin, std::min(batch, pass.size() - begin));
  };
  std::size_t largest = 0;
  std::size_t most = 0;
  for (std::size_t begin = 0; begin < pass.size(); begin += batch) {
    std::size_t bytes = 0;
    for (const Text& text : batch_at(begin)) bytes += text.bytes();
    if (bytes > most) {
      most = bytes;
      largest = begin;
    }
  }
  std::vector<Text> texts;
  for (const Text& text : batch_at(0)) texts.push_back(text);
  for (const Text& text : batch_at(largest)) texts.push_back(text);
  return texts;
}

namespace {

// Another runtime's worker says what it held, and the clock when it was there.
Result<study::Fresh> measure_fresh_worker(const Study& study, const record::Cell& cell) {
  const std::vector<Text> texts =
      texts_for_fresh(std::span(study.input.texts).first(study.input.timed), cell.batch);
  BREAKEVEN_TRY(
      const runtimes::FreshWorker worker,
      study.session->measure_fresh(study::spec_of(cell), texts, cell.mode == Mode::stream));
  study::Fresh fresh;
  fresh.memory.emplace();
  fresh.memory->weight_bytes = worker.weight_bytes;
  fresh.memory->peak_rss_bytes = worker.peak_rss_bytes;
  fresh.memory->loading_peak_rss_bytes = worker.loading_peak_rss_bytes;
  fresh.memory->device_peak_allocated_bytes = worker.device_peak_bytes;
  if (cell.mode != Mode::stream) {
    // Loading and packing are one call for it.
    record::ColdStart cold;
    cold.total_s = worker.first_label_s - worker.started_s;
    cold.load_s = worker.loaded_s - worker.started_s;
    cold.first_pass_s = worker.first_label_s - worker.loaded_s;
    fresh.cold_start = cold;
  }
  return fresh;
}

}  // namespace

Result<study::Fresh> measure_fresh(const Study& study, const record::Cell& cell) {
  if (!cell.runtime.is_native()) return measure_fresh_worker(study, cell);
  CellRequest request;
  request.cell = cell;
  request.model = study.flags.model;
  request.instruction_set = study.flags.instruction_set;
  for (const Text& text :
       texts_for_fresh(std::span(study.input.texts).first(study.input.timed), cell.batch)) {
    request.texts.push_back({std::string(text.first), std::nullopt});
    if (text.second) request.texts.back().second.emplace(*text.second);
  }
  BREAKEVEN_TRY(const measure::ChildAnswer child,
                measure::run_child({"cell"}, to_json(request), kLimit_s, &stop_on_interrupt()));
  BREAKEVEN_TRY(const CellAnswer answer, parse_cell_answer(child.json));
  study::Fresh fresh;
  fresh.memory = answer.memory;
  if (cell.mode != Mode::stream) {
    record::ColdStart cold;
    cold.total_s = answer.first_label_s - child.started_s;
    cold.load_s = answer.loaded_s - child.started_s;
    cold.pack_s = answer.packed_s - answer.loaded_s;
    cold.first_pass_s = answer.first_label_s - answer.packed_s;
    fresh.cold_start = cold;
  }
  return fresh;
}

}  // namespace breakeven::cli
