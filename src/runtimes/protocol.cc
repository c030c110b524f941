#include "runtimes/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/process.h"

namespace breakeven::runtimes {

using nlohmann::json;

struct Reply::Body {
  json value;
};

namespace {

constexpr std::uint64_t kMostBytes = 1ULL << 50;  // of memory: more is no answer
// Our clock and the worker's are one, but each turns nanoseconds into a double in its own way.
constexpr double kClockSlack_s = 1e-6;
constexpr double kStagesSlack = 0.01;

// Why an answer is not what the protocol says; ends the reading of it.
struct Malformed {
  Error error;
};

[[noreturn]] void refuse(const std::string& what, const char* code = "runtime/garbage") {
  throw Malformed{{code, what, ""}};
}

std::string shown(const json& value) {
  return printable(value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 60));
}

const json& field(const json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end()) refuse(fmt::format("its answer has no \"{}\"", name));
  return *found;
}

std::uint64_t as_count(const json& value, const char* name, std::uint64_t most) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
    refuse(fmt::format("\"{}\" is {}, not a whole number from 0 to {}", name, shown(value), most));
  }
  return value.get<std::uint64_t>();
}

std::uint64_t count(const json& object, const char* name, std::uint64_t most) {
  return as_count(field(object, name), name, most);
}

std::optional<std::uint64_t> count_or_null(const json& object, const char* name) {
  const json& value = field(object, name);
  if (value.is_null()) return std::nullopt;
  return as_count(value, name, kMostBytes);
}

double number(const json& object, const char* name) {
  const json& value = field(object, name);
  if (!value.is_number()) refuse(fmt::format("\"{}\" is {}, not a number", name, shown(value)));
  return value.get<double>();
}

// JSON has no NaN: null stands for every number that is not finite, and for those no float holds.
float as_float(const json& value, const char* name) {
  if (value.is_null()) return std::numeric_limits<float>::quiet_NaN();
  if (!value.is_number())
    refuse(fmt::format("\"{}\" has {} among its numbers", name, shown(value)));
  const double wide = value.get<double>();
  const bool fits = std::abs(wide) <= double{std::numeric_limits<float>::max()};
  return fits ? static_cast<float>(wide) : std::numeric_limits<float>::quiet_NaN();
}

std::string as_text(const json& value, const char* name) {
  constexpr std::size_t kLongest = 1000;
  if (!value.is_string()) refuse(fmt::format("\"{}\" is {}, not a text", name, shown(value)));
  return printable(value.get_ref<const std::string&>(), kLongest);
}

std::string text(const json& object, const char* name) {
  return as_text(field(object, name), name);
}

const json& list(const json& object, const char* name, std::size_t least, std::size_t most) {
  const json& value = field(object, name);
  if (!value.is_array()) refuse(fmt::format("\"{}\" is {}, not a list", name, shown(value)));
  if (value.size() < least || value.size() > most) {
    const std::string wanted =
        least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
    refuse(fmt::format("\"{}\" has {} entries, not {}", name, value.size(), wanted));
  }
  return value;
}

const json& list_of(const json& object, const char* name, std::size_t size) {
  return list(object, name, size, size);
}

std::vector<std::string> texts_in(const json& object, const char* name, std::size_t least) {
  constexpr std::size_t kMost = 100000;
  std::vector<std::string> texts;
  for (const json& value : list(object, name, least, kMost)) texts.push_back(as_text(value, name));
  return texts;
}

ProblemType problem_named(const std::string& name) {
  if (name == "single_label") return ProblemType::single_label;
  if (name == "multi_label") return ProblemType::multi_label;
  if (name == "regression") return ProblemType::regression;
  refuse(fmt::format("\"problem\" is '{}', none of single_label, multi_label, regression", name));
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

StageSeconds stages_in(const json& object) {
  const json& stages = field(object, "stages");
  const auto stage = [&](const char* name) {
    const double seconds = number(stages, name);
    if (!(seconds >= 0)) {
      refuse(fmt::format("the stage \"{}\" took {} s", name, seconds), "runtime/clock");
    }
    return seconds;
  };
  return {stage("tokenize"), stage("pack"),     stage("upload"),
          stage("compute"),  stage("download"), stage("decode")};
}

void read_times(const json& object, const Expected& expected, Classified& out) {
  out.start_s = number(object, "start_s");
  out.end_s = number(object, "end_s");
  out.stages = stages_in(object);
  if (out.end_s < out.start_s) {
    refuse(fmt::format("it ended {:.3g} s before it started", out.start_s - out.end_s),
           "runtime/clock");
  }
  if (out.start_s < expected.sent_s - kClockSlack_s ||
      out.end_s > expected.received_s + kClockSlack_s) {
    refuse(
        fmt::format("it says that it worked from {:.9f} to {:.9f} s, but was asked at {:.9f} and "
                    "answered by {:.9f} s (CLOCK_MONOTONIC)",
                    out.start_s, out.end_s, expected.sent_s, expected.received_s),
        "runtime/clock");
  }
  const double took = out.end_s - out.start_s;
  if (!expected.stream && out.stages.sum() > took * (1 + kStagesSlack) + kClockSlack_s) {
    refuse(fmt::format("its stages take {:.6g} s together, more than the {:.6g} s of the batch",
                       out.stages.sum(), took),
           "runtime/clock");
  }
  // 0 would mean that nobody timed it.
  constexpr double kTick_s = 1e-9;
  out.end_s = std::max(out.end_s, out.start_s + kTick_s);
}

void read_outputs(const json& object, const Expected& expected, Classified& out) {
  out.logits.reserve(expected.texts * expected.labels);
  for (const json& row : list_of(object, "logits", expected.texts)) {
    if (!row.is_array() || row.size() != expected.labels) {
      refuse(fmt::format("\"logits\" has the row {}, not one of {} numbers", shown(row),
                         expected.labels));
    }
    for (const json& value : row) out.logits.push_back(as_float(value, "logits"));
  }
  const std::uint64_t last = expected.labels - 1;
  for (const json& value : list_of(object, "labels", expected.texts)) {
    out.labels.push_back(static_cast<std::uint32_t>(as_count(value, "labels", last)));
  }
  for (const json& value : list_of(object, "scores", expected.texts)) {
    const float score = as_float(value, "scores");
    constexpr float kRounding = 1e-3F;  // half precision
    const bool share = expected.problem != ProblemType::regression;
    if (share && (score < -kRounding || score > 1 + kRounding)) {
      refuse(fmt::format("\"scores\" has {}, which is no probability", score));
    }
    out.scores.push_back(score);
  }
}

void read_tokens(const json& object, const Expected& expected, Classified& out) {
  std::uint64_t sum = 0;
  for (const json& value : list_of(object, "tokens", expected.texts)) {
    out.tokens.push_back(
        static_cast<std::uint32_t>(as_count(value, "tokens", expected.max_length)));
    sum += out.tokens.back();
  }
  for (const json& value : list_of(object, "cut", expected.texts)) {
    if (!value.is_boolean()) {
      refuse(fmt::format("\"cut\" has {}, which is neither true nor false", shown(value)));
    }
    out.cut.push_back(value.get<bool>() ? 1 : 0);
  }
  // No padding exceeds a rectangle of all texts.
  const std::uint64_t most = std::uint64_t{expected.texts} * expected.max_length;
  out.computed_tokens = count(object, "computed_tokens", most);
  if (out.computed_tokens < sum) {
    refuse(fmt::format("it computed {} tokens for texts of {}", out.computed_tokens, sum));
  }
}

template <class T, class Read>
Result<T> checked(Read read) {
  try {
    return read();
  } catch (const Malformed& malformed) {
    return tl::unexpected<Error>(malformed.error);
  }
}

// The worker's own words under a code of ours.
Error refusal(const json& error) {
  constexpr const char* kCodes[] = {"unsupported", "missing"};
  const std::string code = text(error, "code");
  Error ours{"runtime/refused", text(error, "message"), ""};
  for (const char* known : kCodes) {
    if (code == known) ours.code = std::string("runtime/") + known;
  }
  if (ours.code == "runtime/refused") ours.message += fmt::format(" ({})", code);
  if (error.contains("hint")) ours.hint = text(error, "hint");
  return ours;
}

}  // namespace

std::string hello_request(std::uint64_t id) {
  return line_of({{"id", id}, {"op", "hello"}, {"protocol", kProtocolVersion}});
}

std::string load_request(std::uint64_t id, const WorkerSpec& spec) {
  return line_of({{"id", id},
                  {"op", "load"},
                  {"model", spec.model_folder},
                  {"device", spec.device},
                  {"precision", spec.precision},
                  {"variant", spec.variant},
                  {"threads", spec.threads},
                  {"max_length", spec.max_length},
                  {"padding", spec.padding},
                  {"max_batch", spec.max_batch}});
}

std::string texts_request(std::uint64_t id, std::span<const std::string_view> texts) {
  return line_of({{"id", id}, {"op", "texts"}, {"texts", listed(texts)}});
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

Result<Reply> Reply::parse(std::string_view line, std::uint64_t id) {
  return checked<Reply>([&]() -> Result<Reply> {
    json message = json::parse(line, nullptr, false);
    if (!message.is_object()) {
      refuse(fmt::format("it printed '{}', which is no message",
                         printable(std::string(line.substr(0, 100)))));
    }
    const json& echoed = field(message, "id");
    if (!echoed.is_number_unsigned() || echoed.get<std::uint64_t>() != id) {
      refuse(fmt::format("it answered request {} while {} was asked", shown(echoed), id));
    }
    if (const auto error = message.find("error"); error != message.end()) {
      return tl::unexpected<Error>(refusal(*error));
    }
    Reply reply;
    if (message.contains("progress")) {
      const double done = number(message, "progress");
      if (!(done >= 0 && done <= 1)) refuse(fmt::format("\"progress\" is {}", done));
      reply.progress_ = Progress{done, text(message, "what")};
      return reply;
    }
    field(message, "ok");
    reply.body_ = std::make_shared<const Body>(Body{std::move(message["ok"])});
    return reply;
  });
}

bool is_refusal(const Error& error) {
  return error.code == "runtime/refused" || error.code == "runtime/unsupported" ||
         error.code == "runtime/missing";
}

Result<Capabilities> read_hello(const Reply& reply) {
  return checked<Capabilities>([&] {
    const json& ok = reply.body().value;
    constexpr std::uint64_t kAnyVersion = 1000000;
    if (const auto version = count(ok, "protocol", kAnyVersion); version != kProtocolVersion) {
      refuse(
          fmt::format("it speaks version {} of the protocol, not {}", version, kProtocolVersion));
    }
    Capabilities capabilities{text(ok, "runtime"), text(ok, "version"), text(ok, "tokenizer"), {}};
    constexpr std::size_t kMostAbilities = 10000;
    for (const json& ability : list(ok, "abilities", 0, kMostAbilities)) {
      capabilities.abilities.push_back({text(ability, "variant"), text(ability, "device"),
                                        text(ability, "precision"),
                                        texts_in(ability, "paddings", 1)});
    }
    return capabilities;
  });
}

Result<Loaded> read_load(const Reply& reply) {
  return checked<Loaded>([&] {
    const json& ok = reply.body().value;
    Loaded loaded;
    loaded.labels = texts_in(ok, "labels", 1);
    loaded.problem = problem_named(text(ok, "problem"));
    loaded.weight_bytes = count_or_null(ok, "weight_bytes");
    loaded.instruction_set = text(ok, "instruction_set");
    const json& settings = field(ok, "settings");
    constexpr std::size_t kMostSettings = 100;
    if (!settings.is_object() || settings.size() > kMostSettings) {
      refuse(fmt::format("\"settings\" is {}, not an object of at most {} texts", shown(settings),
                         kMostSettings));
    }
    for (const auto& [key, value] : settings.items()) {
      loaded.settings[printable(key)] = as_text(value, "settings");
    }
    return loaded;
  });
}

Result<std::uint64_t> read_texts(const Reply& reply) {
  return checked<std::uint64_t>([&] {
    return count(reply.body().value, "count", std::numeric_limits<std::uint32_t>::max());
  });
}

Result<Classified> read_classified(const Reply& reply, const Expected& expected) {
  return checked<Classified>([&] {
    const json& ok = reply.body().value;
    Classified out;
    read_outputs(ok, expected, out);
    read_tokens(ok, expected, out);
    read_times(ok, expected, out);
    if (expected.stream) {
      out.in_flight = static_cast<unsigned>(count(ok, "in_flight", expected.texts));
      if (out.in_flight == 0) refuse("\"in_flight\" is 0");
    }
    return out;
  });
}

Result<MemoryUse> read_memory(const Reply& reply) {
  return checked<MemoryUse>([&] {
    const json& ok = reply.body().value;
    return MemoryUse{count(ok, "peak_rss_bytes", kMostBytes),
                     count_or_null(ok, "device_peak_bytes")};
  });
}

}  // namespace breakeven::runtimes
