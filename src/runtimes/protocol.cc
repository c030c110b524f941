#include "runtimes/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"
#include "base/process.h"

namespace breakeven::runtimes {

using nlohmann::json;

struct Reply::Body {
  JsonDocument document;
  JsonValue ok;
};

namespace {

constexpr std::uint64_t kMostBytes = 1ULL << 50;  // of memory: more is no answer
// Our clock and the worker's are one, but each turns nanoseconds into a double in its own way.
constexpr double kClockSlack_s = 1e-6;
constexpr double kStagesSlack = 0.01;

tl::unexpected<Error> refuse(std::string what, const char* code = "runtime/garbage") {
  return fail(code, std::move(what));
}

const JsonSource& source() {
  static const JsonSource kSource{"its answer", "runtime/garbage", "runtime/garbage", ""};
  return kSource;
}

Result<JsonObject> answer_of(const Reply& reply) {
  const JsonValue ok = reply.body().ok;
  if (!ok.is_object()) return refuse(fmt::format("its answer is {}, not an object", ok.shown()));
  return JsonObject(ok, "", source());
}

// JSON has no NaN: null stands for every number that is not finite, and for those no float holds.
Result<float> as_float(const JsonObject& answer, JsonValue value, const char* name) {
  if (value.is_null()) return std::numeric_limits<float>::quiet_NaN();
  const auto wide = value.number();
  if (!wide) return answer.wrong(name, value, "a number or null");
  const bool fits = std::abs(*wide) <= double{std::numeric_limits<float>::max()};
  return fits ? static_cast<float>(*wide) : std::numeric_limits<float>::quiet_NaN();
}

// Texts of a worker end up in messages and records.
Result<std::string> as_line(const JsonObject& answer, JsonValue value, std::string_view name) {
  constexpr std::size_t kLongest = 1000;
  BREAKEVEN_TRY(const std::string text, answer.as_text(value, name));
  return printable(text, kLongest);
}

Result<std::string> line(const JsonObject& answer, const char* name) {
  const auto value = answer.find(name);
  if (!value) return answer.wrong(name, "a text");
  return as_line(answer, *value, name);
}

// What only a name that we know can be.
template <class T>
Result<T> known(const JsonObject& answer, Result<T> parsed, const char* name) {
  if (!parsed) return answer.wrong(name, "a name that is known here");
  return parsed;
}

Result<std::vector<std::string>> lines(const JsonObject& answer, const char* name) {
  constexpr std::size_t kMost = 100000;
  BREAKEVEN_TRY(const auto values, answer.list(name, {1, kMost}));
  std::vector<std::string> lines;
  for (const JsonValue value : values) {
    BREAKEVEN_TRY(std::string text, as_line(answer, value, name));
    lines.push_back(std::move(text));
  }
  return lines;
}

Result<std::optional<std::uint64_t>> bytes_or_null(const JsonObject& answer, const char* name) {
  if (!answer.find(name)) return std::optional<std::uint64_t>();
  BREAKEVEN_TRY(const std::uint64_t bytes, answer.count(name, {0, kMostBytes}));
  return std::optional(bytes);
}

Result<ProblemType> problem_in(const JsonObject& answer) {
  BREAKEVEN_TRY(const std::string name, line(answer, "problem"));
  if (name == "single_label") return ProblemType::single_label;
  if (name == "multi_label") return ProblemType::multi_label;
  if (name == "regression") return ProblemType::regression;
  return answer.wrong("problem", "single_label, multi_label or regression");
}

template <class T>
json listed(std::span<const T> values) {
  json list = json::array();
  for (const T& value : values) list.push_back(value);
  return list;
}

std::string line_of(const json& message) {
  return message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<StageSeconds> stages_in(const JsonObject& answer) {
  BREAKEVEN_TRY(const JsonObject stages, answer.object("stages"));
  StageSeconds out;
  for (const auto& [name, stage] : {std::pair{"tokenize", &StageSeconds::tokenize},
                                    {"pack", &StageSeconds::pack},
                                    {"upload", &StageSeconds::upload},
                                    {"compute", &StageSeconds::compute},
                                    {"download", &StageSeconds::download},
                                    {"decode", &StageSeconds::decode}}) {
    BREAKEVEN_TRY(out.*stage, stages.number(name));
    if (!(out.*stage >= 0)) {
      return refuse(fmt::format("the stage {} took {} s", name, out.*stage), "runtime/clock");
    }
  }
  return out;
}

Result<void> read_times(const JsonObject& answer, const Expected& expected, Classified& out) {
  BREAKEVEN_TRY(out.start_s, answer.number("start_s"));
  BREAKEVEN_TRY(out.end_s, answer.number("end_s"));
  BREAKEVEN_TRY(out.stages, stages_in(answer));
  if (out.end_s < out.start_s) {
    return refuse(fmt::format("it ended {:.3g} s before it started", out.start_s - out.end_s),
                  "runtime/clock");
  }
  if (out.start_s < expected.sent_s - kClockSlack_s ||
      out.end_s > expected.received_s + kClockSlack_s) {
    return refuse(
        fmt::format("it says that it worked from {:.9f} to {:.9f} s, but was asked at {:.9f} and "
                    "answered by {:.9f} s (CLOCK_MONOTONIC)",
                    out.start_s, out.end_s, expected.sent_s, expected.received_s),
        "runtime/clock");
  }
  const double took = out.end_s - out.start_s;
  if (!expected.stream && out.stages.sum() > took * (1 + kStagesSlack) + kClockSlack_s) {
    return refuse(
        fmt::format("its stages take {:.6g} s together, more than the {:.6g} s of the batch",
                    out.stages.sum(), took),
        "runtime/clock");
  }
  // 0 would mean that nobody timed it.
  constexpr double kTick_s = 1e-9;
  out.end_s = std::max(out.end_s, out.start_s + kTick_s);
  return {};
}

Result<void> read_outputs(const JsonObject& answer, const Expected& expected, Classified& out) {
  const JsonRange each{expected.texts, expected.texts};
  BREAKEVEN_TRY(const auto rows, answer.list("logits", each));
  out.logits.reserve(expected.texts * expected.labels);
  for (const JsonValue row : rows) {
    const std::vector<JsonValue> values = row.list();
    if (values.size() != expected.labels) {
      return answer.wrong("logits", row, fmt::format("a row of {} numbers", expected.labels));
    }
    for (const JsonValue value : values) {
      BREAKEVEN_TRY(const float logit, as_float(answer, value, "logits"));
      out.logits.push_back(logit);
    }
  }
  BREAKEVEN_TRY(const auto labels, answer.list("labels", each));
  for (const JsonValue value : labels) {
    BREAKEVEN_TRY(const std::uint64_t label,
                  answer.as_count(value, "labels", {0, expected.labels - 1}));
    out.labels.push_back(static_cast<std::uint32_t>(label));
  }
  BREAKEVEN_TRY(const auto scores, answer.list("scores", each));
  for (const JsonValue value : scores) {
    BREAKEVEN_TRY(const float score, as_float(answer, value, "scores"));
    constexpr float kRounding = 1e-3F;  // half precision
    const bool share = expected.problem != ProblemType::regression;
    if (share && (score < -kRounding || score > 1 + kRounding)) {
      return answer.wrong("scores", value, "a probability");
    }
    out.scores.push_back(score);
  }
  return {};
}

Result<void> read_tokens(const JsonObject& answer, const Expected& expected, Classified& out) {
  const JsonRange each{expected.texts, expected.texts};
  BREAKEVEN_TRY(const auto tokens, answer.list("tokens", each));
  std::uint64_t sum = 0;
  for (const JsonValue value : tokens) {
    BREAKEVEN_TRY(const std::uint64_t count,
                  answer.as_count(value, "tokens", {0, expected.max_length}));
    out.tokens.push_back(static_cast<std::uint32_t>(count));
    sum += count;
  }
  BREAKEVEN_TRY(const auto cut, answer.list("cut", each));
  for (const JsonValue value : cut) {
    if (!value.boolean()) return answer.wrong("cut", value, "true or false");
    out.cut.push_back(*value.boolean() ? 1 : 0);
  }
  // No padding exceeds a rectangle of all texts.
  const std::uint64_t most = std::uint64_t{expected.texts} * expected.max_length;
  BREAKEVEN_TRY(out.computed_tokens, answer.count("computed_tokens", {0, most}));
  if (out.computed_tokens < sum) {
    return refuse(fmt::format("it computed {} tokens for texts of {}", out.computed_tokens, sum));
  }
  return {};
}

// The worker's own words under a code of ours.
Result<Error> refusal(const JsonObject& error) {
  constexpr const char* kCodes[] = {"unsupported", "missing"};
  BREAKEVEN_TRY(const std::string code, line(error, "code"));
  Error ours{"runtime/refused", "", ""};
  BREAKEVEN_TRY(ours.message, line(error, "message"));
  for (const char* known : kCodes) {
    if (code == known) ours.code = std::string("runtime/") + known;
  }
  if (ours.code == "runtime/refused") ours.message += fmt::format(" ({})", code);
  if (error.find("hint")) {
    BREAKEVEN_TRY(ours.hint, line(error, "hint"));
  }
  return ours;
}

}  // namespace

std::string hello_request(std::uint64_t id) {
  return line_of({{"id", id}, {"op", "hello"}, {"protocol", kProtocolVersion}});
}

std::string load_request(std::uint64_t id, const WorkerSpec& spec, const std::string& pytorch) {
  json request = {{"id", id},
                  {"op", "load"},
                  {"model", spec.model_folder},
                  {"device", to_string(spec.device)},
                  {"precision", to_string(spec.precision)},
                  {"variant", spec.runtime.variant},
                  {"threads", spec.threads},
                  {"max_length", spec.max_length},
                  {"padding", to_string(spec.padding)},
                  {"max_batch", spec.batch}};
  if (!pytorch.empty()) request["pytorch"] = pytorch;
  return line_of(request);
}

std::string texts_request(std::uint64_t id, std::span<const Text> texts, bool hash_ids) {
  json list = json::array();
  for (const Text& text : texts) {
    list.push_back(text.second ? json{text.first, *text.second} : json(text.first));
  }
  json request = {{"id", id}, {"op", "texts"}, {"texts", std::move(list)}};
  if (hash_ids) request["hash_ids"] = true;
  return line_of(request);
}

std::string run_request(std::uint64_t id, std::span<const std::uint32_t> indices) {
  return line_of({{"id", id}, {"op", "run"}, {"indices", listed(indices)}});
}

std::string stream_request(std::uint64_t id, std::span<const std::uint32_t> indices,
                           std::size_t batch) {
  return line_of({{"id", id}, {"op", "stream"}, {"indices", listed(indices)}, {"batch", batch}});
}

std::string memory_request(std::uint64_t id) {
  return line_of({{"id", id}, {"op", "memory"}});
}

std::string shutdown_request(std::uint64_t id) {
  return line_of({{"id", id}, {"op", "shutdown"}});
}

Result<Reply> Reply::parse(std::string_view line_of_it, std::uint64_t id) {
  auto document = JsonDocument::parse(line_of_it, source());
  if (!document || !document->value().is_object()) {
    return refuse(fmt::format("it printed '{}', which is no message",
                              printable(std::string(line_of_it.substr(0, 100)))));
  }
  const JsonObject message(document->value(), "", source());
  const auto echoed = message.find("id");
  if (!echoed) return message.wrong("id", "");
  if (echoed->count() != id) {
    return refuse(fmt::format("it answered request {} while {} was asked", echoed->shown(), id));
  }
  if (document->value().find("error")) {
    BREAKEVEN_TRY(const JsonObject error, message.object("error"));
    BREAKEVEN_TRY(Error ours, refusal(error));
    return tl::unexpected<Error>(std::move(ours));
  }
  Reply reply;
  if (message.find("progress")) {
    BREAKEVEN_TRY(const double done, message.number("progress"));
    if (!(done >= 0 && done <= 1)) return message.wrong("progress", "a share from 0 to 1");
    BREAKEVEN_TRY(std::string what, line(message, "what"));
    reply.progress_ = Progress{done, std::move(what)};
    return reply;
  }
  const auto ok = document->value().find("ok");
  if (!ok) return message.wrong("ok", "");
  reply.body_ = std::make_shared<const Body>(Body{*std::move(document), *ok});
  return reply;
}

bool is_refusal(const Error& error) {
  return error.code == "runtime/refused" || error.code == "runtime/unsupported" ||
         error.code == "runtime/missing";
}

Result<Capabilities> read_hello(const Reply& reply) {
  BREAKEVEN_TRY(const JsonObject answer, answer_of(reply));
  constexpr std::uint64_t kAnyVersion = 1000000;
  BREAKEVEN_TRY(const std::uint64_t version, answer.count("protocol", {0, kAnyVersion}));
  if (version != kProtocolVersion) {
    return refuse(
        fmt::format("it speaks version {} of the protocol, not {}", version, kProtocolVersion));
  }
  Capabilities capabilities;
  BREAKEVEN_TRY(capabilities.runtime, line(answer, "runtime"));
  BREAKEVEN_TRY(capabilities.version, line(answer, "version"));
  BREAKEVEN_TRY(capabilities.tokenizer, line(answer, "tokenizer"));
  constexpr std::size_t kMostAbilities = 10000;
  BREAKEVEN_TRY(const auto abilities, answer.list("abilities", {0, kMostAbilities}));
  for (const JsonValue value : abilities) {
    BREAKEVEN_TRY(const JsonObject told, answer.as_object(value, "abilities"));
    Ability ability;
    BREAKEVEN_TRY(ability.variant, line(told, "variant"));
    BREAKEVEN_TRY(const std::string device, line(told, "device"));
    BREAKEVEN_TRY(ability.device, known(told, parse_device(device), "device"));
    BREAKEVEN_TRY(const std::string precision, line(told, "precision"));
    BREAKEVEN_TRY(ability.precision, known(told, parse<Precision>(precision), "precision"));
    BREAKEVEN_TRY(const auto paddings, lines(told, "paddings"));
    ability.paddings.clear();
    for (const std::string& name : paddings) {
      BREAKEVEN_TRY(ability.paddings.emplace_back(), known(told, parse<Padding>(name), "paddings"));
    }
    capabilities.abilities.push_back(std::move(ability));
  }
  return capabilities;
}

Result<Loaded> read_load(const Reply& reply) {
  BREAKEVEN_TRY(const JsonObject answer, answer_of(reply));
  Loaded loaded;
  BREAKEVEN_TRY(loaded.labels, lines(answer, "labels"));
  BREAKEVEN_TRY(loaded.problem, problem_in(answer));
  BREAKEVEN_TRY(loaded.weight_bytes, bytes_or_null(answer, "weight_bytes"));
  BREAKEVEN_TRY(loaded.instruction_set, line(answer, "instruction_set"));
  BREAKEVEN_TRY(const JsonObject settings, answer.object("settings"));
  constexpr std::size_t kMostSettings = 100;
  if (settings.fields().size() > kMostSettings) {
    return answer.wrong("settings", fmt::format("an object of at most {} texts", kMostSettings));
  }
  for (const auto& [key, value] : settings.fields()) {
    BREAKEVEN_TRY(loaded.settings[printable(key)], as_line(settings, value, key));
  }
  return loaded;
}

Result<Received> read_texts(const Reply& reply, std::size_t sent) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  BREAKEVEN_TRY(const JsonObject answer, answer_of(reply));
  Received received;
  BREAKEVEN_TRY(received.count, answer.count("count", {0, kMost}));
  if (!answer.find("ids")) return received;
  BREAKEVEN_TRY(const auto ids, answer.list("ids", {0, sent}));
  if (!ids.empty() && ids.size() != sent) {
    return refuse(fmt::format("it tells the ids of {} texts of {}", ids.size(), sent));
  }
  for (const JsonValue value : ids) {
    BREAKEVEN_TRY(const std::uint64_t hash, answer.as_count(value, "ids", {0, kMost}));
    received.ids.push_back(static_cast<std::uint32_t>(hash));
  }
  return received;
}

Result<Classified> read_classified(const Reply& reply, const Expected& expected) {
  BREAKEVEN_TRY(const JsonObject answer, answer_of(reply));
  Classified out;
  BREAKEVEN_TRY_VOID(read_outputs(answer, expected, out));
  BREAKEVEN_TRY_VOID(read_tokens(answer, expected, out));
  BREAKEVEN_TRY_VOID(read_times(answer, expected, out));
  if (expected.stream) {
    BREAKEVEN_TRY(const std::uint64_t in_flight, answer.count("in_flight", {1, expected.texts}));
    out.in_flight = static_cast<unsigned>(in_flight);
  }
  return out;
}

Result<MemoryUse> read_memory(const Reply& reply) {
  BREAKEVEN_TRY(const JsonObject answer, answer_of(reply));
  MemoryUse use;
  BREAKEVEN_TRY(use.peak_rss_bytes, answer.count("peak_rss_bytes", {0, kMostBytes}));
  BREAKEVEN_TRY(use.device_peak_bytes, bytes_or_null(answer, "device_peak_bytes"));
  return use;
}

}  // namespace breakeven::runtimes
