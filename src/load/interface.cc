#include "load/interface.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace breakeven::load {
namespace {

std::string quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<std::string> body_of(const Ask& ask, const Text& text) {
  const std::string first = quoted(text.first);
  const std::string second = text.second ? quoted(*text.second) : "";
  switch (ask.interface) {
    case Interface::breakeven:
      return text.second ? fmt::format(R"({{"input":{},"pair":{}}})", first, second)
                         : fmt::format(R"({{"input":{}}})", first);
    case Interface::tei:
      // Asked for: versions differ in whether they cut or refuse.
      return text.second ? fmt::format(R"({{"inputs":[{},{}],"truncate":true}})", first, second)
                         : fmt::format(R"({{"inputs":{},"truncate":true}})", first);
    case Interface::vllm:
      if (text.second) {
        return fail("load/pair", "vLLM's /classify has no pairs of texts",
                    "give single texts (--text-field), or another --interface");
      }
      // As a list: Infinity, which has this interface, too, takes no text alone.
      return fmt::format(R"({{"input":[{}],"truncate_prompt_tokens":-1}})", first);
    case Interface::oip:
      break;
  }
  const auto tensor = [&](std::string_view name, const std::string& value) {
    return fmt::format(R"({{"name":{},"shape":[{}1],"datatype":"BYTES","data":[{}]}})",
                       quoted(name), ask.dimensions > 1 ? "1," : "", value);
  };
  std::string inputs = tensor(ask.tensor, first);
  if (text.second) inputs += "," + tensor("pair", second);
  return fmt::format(R"({{"inputs":[{}]}})", inputs);
}

std::string with_head(const Ask& ask, std::string_view method, std::string_view path,
                      std::string_view body) {
  std::string bytes = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", method, path,
                                  ask.host.starts_with("unix:") ? "localhost" : ask.host);
  if (method != "GET") {
    bytes += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  }
  if (!ask.keep_alive) bytes += "Connection: close\r\n";
  bytes += ask.fields + "\r\n";
  if (method != "GET") bytes += body;
  return bytes;
}

// The label of the highest score; nothing where one of them has none.
std::optional<std::string_view> best_of(JsonValue scores) {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  std::optional<std::string_view> best;
  double highest = kNone;
  for (const JsonValue each : scores.list()) {
    const auto label = each.find("label"), score = each.find("score");
    const double value = score ? score->number().value_or(kNone) : kNone;
    if (!label || !label->text() || value == kNone) return std::nullopt;
    if (value <= highest) continue;
    best = label->text();
    highest = value;
  }
  return best;
}

std::optional<JsonValue> first_of(JsonValue object, std::string_view name) {
  const auto list = object.find(name);
  const std::vector<JsonValue> items = list ? list->list() : std::vector<JsonValue>{};
  return items.empty() ? std::nullopt : std::optional(items.front());
}

template <class T>
std::optional<T> count_of(std::optional<JsonValue> object, std::string_view name) {
  const auto field = object ? object->find(name) : std::nullopt;
  const auto value = field ? field->count() : std::nullopt;
  return value ? std::optional(static_cast<T>(*value)) : std::nullopt;
}

std::optional<std::string_view> label_in(Interface interface, JsonValue value) {
  if (interface == Interface::tei) {
    // A server that was asked for a batch of one says so.
    const std::vector<JsonValue> items = value.list();
    return best_of(!items.empty() && items.front().is_list() ? items.front() : value);
  }
  if (interface == Interface::oip) {
    const auto outputs = value.find("outputs");
    for (const JsonValue output : outputs ? outputs->list() : std::vector<JsonValue>{}) {
      const auto type = output.find("datatype");
      const auto data = first_of(output, "data");
      if (!type || type->text() != "BYTES" || !data) continue;
      return data->text();
    }
    return std::nullopt;
  }
  const auto result = first_of(value, interface == Interface::vllm ? "data" : "results");
  if (result && result->is_list()) return best_of(*result);  // Infinity's: all labels
  const auto label = result ? result->find("label") : std::nullopt;
  return label ? label->text() : std::nullopt;
}

}  // namespace

std::optional<Interface> interface_of(std::string_view path) {
  path = path.substr(0, path.find('?'));
  if (path.ends_with("/v1/classify")) return Interface::breakeven;
  if (path.ends_with("/predict")) return Interface::tei;
  if (path.ends_with("/classify")) return Interface::vllm;
  if (path.ends_with("/infer")) return Interface::oip;
  return std::nullopt;
}

std::string_view usual_path(Interface interface) {
  switch (interface) {
    case Interface::breakeven:
      return "/v1/classify";
    case Interface::tei:
      return "/predict";
    case Interface::vllm:
      return "/classify";
    case Interface::oip:
      break;
  }
  return "";
}

bool read_inputs(std::string_view body, Ask& ask) {
  const auto document = JsonDocument::parse(body, {"", "load/reply", "load/reply", ""});
  if (!document) return false;
  const auto inputs = document->value().find("inputs");
  for (const JsonValue input : inputs ? inputs->list() : std::vector<JsonValue>{}) {
    const auto name = input.find("name"), type = input.find("datatype"),
               shape = input.find("shape");
    if (!name || !name->text() || !type || type->text() != "BYTES" || !shape) continue;
    ask.tensor = *name->text();
    ask.dimensions = std::clamp<std::size_t>(shape->list().size(), 1, 2);
    return true;
  }
  return false;
}

Result<std::string> request_for(const Ask& ask, const Text& text) {
  BREAKEVEN_TRY(const std::string body, body_of(ask, text));
  return with_head(ask, "POST", ask.path, body);
}

std::string plain_request(const Ask& ask, std::string_view method, std::string_view path) {
  return with_head(ask, method, path, "{}");
}

Result<Labelled> read_label(Interface interface, std::string_view body) {
  const JsonSource source{"the reply", "load/reply", "load/reply",
                          "is this the path of a classifier? see --interface"};
  BREAKEVEN_TRY(const JsonDocument document, JsonDocument::parse(body, source));
  const JsonValue value = document.value();
  const auto label = label_in(interface, value);
  if (!label) {
    return fail("load/reply",
                fmt::format("the reply holds no label as {} has it: {}", to_string(interface),
                            value.shown()),
                "name the interface that the server has with --interface");
  }
  Labelled result{std::string(*label)};
  if (interface == Interface::breakeven) {
    const auto first = first_of(value, "results");
    result.tokens = count_of<std::uint32_t>(first, "tokens");
    result.truncated = count_of<std::uint64_t>(first, "truncated_tokens");
  } else if (interface == Interface::vllm) {
    result.tokens = count_of<std::uint32_t>(value.find("usage"), "prompt_tokens");
  }
  return result;
}

}  // namespace breakeven::load
