#include "cli/fresh_cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "measure/child.h"

namespace breakeven::cli {
namespace {

using nlohmann::json;

constexpr double kLimit_s = 900;

// Absent on the CPU, and where NVML does not tell.
constexpr std::pair<const char*, std::optional<std::uint64_t> record::Memory::*> kDeviceFields[] = {
    {"device_peak_allocated_bytes", &record::Memory::device_peak_allocated_bytes},
    {"device_used_bytes", &record::Memory::device_used_bytes},
    {"device_library_bytes", &record::Memory::device_library_bytes},
    {"device_total_bytes", &record::Memory::device_total_bytes},
};

template <class T, class Fill>
Result<T> parse_with(const char* code, const std::string& text, Fill fill) {
  T value;
  try {
    fill(json::parse(text), value);
  } catch (const json::exception& error) {
    return fail(code, fmt::format("not a message between our own processes: {}", error.what()));
  }
  return value;
}

}  // namespace

std::string to_json(const CellRequest& request) {
  const record::Cell& cell = request.cell;
  const json value = {{"device", cell.device},
                      {"precision", cell.precision},
                      {"batch", cell.batch},
                      {"threads", cell.threads},
                      {"max_length", cell.max_length},
                      {"padding", cell.padding},
                      {"mode", cell.mode},
                      {"model", request.model},
                      {"instruction_set", request.instruction_set},
                      {"texts", request.texts}};
  // Texts may hold any bytes; invalid UTF-8 counts as U+FFFD in the tokenizer too.
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<CellRequest> parse_cell_request(const std::string& text) {
  return parse_with<CellRequest>("cell/request", text, [](const json& value, CellRequest& out) {
    value.at("device").get_to(out.cell.device);
    value.at("precision").get_to(out.cell.precision);
    value.at("batch").get_to(out.cell.batch);
    value.at("threads").get_to(out.cell.threads);
    value.at("max_length").get_to(out.cell.max_length);
    value.at("padding").get_to(out.cell.padding);
    value.at("mode").get_to(out.cell.mode);
    value.at("model").get_to(out.model);
    value.at("instruction_set").get_to(out.instruction_set);
    value.at("texts").get_to(out.texts);
  });
}

std::string to_json(const CellAnswer& answer) {
  const record::Memory& memory = answer.memory;
  json value = {{"weight_bytes", memory.weight_bytes},
                {"activation_bytes", memory.activation_bytes},
                {"library_bytes", memory.library_bytes},
                {"peak_allocated_bytes", memory.peak_allocated_bytes},
                {"peak_rss_bytes", memory.peak_rss_bytes},
                {"loading_peak_rss_bytes", memory.loading_peak_rss_bytes},
                {"method", memory.method},
                {"loaded_s", answer.loaded_s},
                {"packed_s", answer.packed_s},
                {"first_label_s", answer.first_label_s}};
  for (const auto& [name, bytes] : kDeviceFields) {
    if (const auto& told = memory.*bytes) value[name] = *told;
  }
  return value.dump();
}

Result<CellAnswer> parse_cell_answer(const std::string& text) {
  return parse_with<CellAnswer>("cell/answer", text, [](const json& value, CellAnswer& out) {
    value.at("weight_bytes").get_to(out.memory.weight_bytes);
    value.at("activation_bytes").get_to(out.memory.activation_bytes);
    value.at("library_bytes").get_to(out.memory.library_bytes);
    value.at("peak_allocated_bytes").get_to(out.memory.peak_allocated_bytes);
    value.at("peak_rss_bytes").get_to(out.memory.peak_rss_bytes);
    value.at("loading_peak_rss_bytes").get_to(out.memory.loading_peak_rss_bytes);
    value.at("method").get_to(out.memory.method);
    value.at("loaded_s").get_to(out.loaded_s);
    value.at("packed_s").get_to(out.packed_s);
    value.at("first_label_s").get_to(out.first_label_s);
    for (const auto& [name, bytes] : kDeviceFields) {
      if (value.contains(name)) out.memory.*bytes = value.at(name).get<std::uint64_t>();
    }
  });
}

std::vector<std::string> texts_for_fresh(std::span<const std::string_view> pass,
                                         std::size_t batch) {
  const auto batch_at = [&](std::size_t begin) {
    return pass.subspan(begin, std::min(batch, pass.size() - begin));
  };
  std::size_t largest = 0;
  std::size_t most = 0;
  for (std::size_t begin = 0; begin < pass.size(); begin += batch) {
    std::size_t bytes = 0;
    for (const std::string_view text : batch_at(begin)) bytes += text.size();
    if (bytes > most) {
      most = bytes;
      largest = begin;
    }
  }
  std::vector<std::string> texts;
  for (const std::string_view text : batch_at(0)) texts.emplace_back(text);
  for (const std::string_view text : batch_at(largest)) texts.emplace_back(text);
  return texts;
}

namespace {

// Another runtime's worker says what it held, and the clock when it was there.
Result<study::Fresh> measure_fresh_worker(const Study& study, const record::Cell& cell) {
  const std::vector<std::string> texts =
      texts_for_fresh(std::span(study.input.texts).first(study.input.timed), cell.batch);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  BREAKEVEN_TRY(const runtimes::FreshWorker worker,
                study.session->measure_fresh(study::spec_of(cell), views, cell.mode == "stream"));
  study::Fresh fresh;
  fresh.memory.emplace();
  fresh.memory->weight_bytes = worker.weight_bytes;
  fresh.memory->peak_rss_bytes = worker.peak_rss_bytes;
  fresh.memory->loading_peak_rss_bytes = worker.loading_peak_rss_bytes;
  fresh.memory->device_peak_allocated_bytes = worker.device_peak_bytes;
  if (cell.mode != "stream") {
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
  if (cell.runtime != "native") return measure_fresh_worker(study, cell);
  CellRequest request;
  request.cell = cell;
  request.model = study.flags.model;
  request.instruction_set = study.flags.instruction_set;
  request.texts =
      texts_for_fresh(std::span(study.input.texts).first(study.input.timed), cell.batch);
  BREAKEVEN_TRY(const measure::ChildAnswer child,
                measure::run_child({"cell"}, to_json(request), kLimit_s, &stop_on_interrupt()));
  BREAKEVEN_TRY(const CellAnswer answer, parse_cell_answer(child.json));
  study::Fresh fresh;
  fresh.memory = answer.memory;
  if (cell.mode != "stream") {
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
