#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/json.h"
#include "base/utf8.h"
#include "serve/api.h"

namespace breakeven::serve {
namespace {

using Names = std::span<const std::string_view>;

class Reader {
 public:
  Reader(Route route, const Served& served, const BodyLimits& limits, std::string_view binary)
      : served_(served), limits_(limits), binary_(binary) {
    ask_.form.route = route;
  }

  Checked<Ask> read(std::string_view body) {
    const JsonSource source{"", "json/malformed", "json/field", "see /openapi.json"};
    auto document = JsonDocument::parse(body, source);
    if (!document) return tl::unexpected<Problem>(Problem{400, document.error(), 0});
    const JsonValue value = document->value();
    const Route route = ask_.form.route;
    // One line of a stream may be the text itself.
    if (route == Route::classify_lines && value.text()) {
      ask_.form.one = true;
      add(value, "the line");
    } else if (!value.is_object()) {
      stop(422, "json/field", fmt::format("the body is {}, not an object", value.shown()),
           route == Route::predict ? R"(send {"inputs": "text"})" : R"(send {"input": "text"})");
    } else {
      const std::vector<JsonField> fields = value.object();
      if (route == Route::infer) {
        read_infer(fields);
      } else if (route == Route::predict) {
        read_predict(fields);
      } else if (route == Route::vllm) {
        read_vllm(fields);
      } else {
        read_classify(fields);
      }
    }
    check_texts();
    if (problem_) return tl::unexpected<Problem>(*std::move(problem_));
    return std::move(ask_);
  }

 private:
  void stop(int status, std::string code, std::string message, std::string hint) {
    if (!problem_)
      problem_ = Problem{status, {std::move(code), std::move(message), std::move(hint)}, 0};
  }
  void wrong(std::string_view name, JsonValue value, std::string_view wanted) {
    stop(422, "json/field", fmt::format("{} is {}, not {}", name, value.shown(), wanted),
         "see /openapi.json");
  }
  void unknown(std::string_view name, Names known) {
    stop(422, "json/unknown", fmt::format("there is no field {}", json_text(name.substr(0, 60))),
         fmt::format("known are {}", fmt::join(known, ", ")));
  }

  void add(JsonValue value, std::string_view name) {
    if (const auto text = value.text()) return add(OwnedText{std::string(*text)}, name);
    wrong(name, value, "a text");
  }
  void add_pair(JsonValue first, JsonValue second, std::string_view name) {
    const auto one = first.text(), other = second.text();
    if (!one) return wrong(name, first, "a text");
    if (!other) return wrong(name, second, "a text");
    add(OwnedText{std::string(*one), std::string(*other)}, name);
  }
  void add(OwnedText text, std::string_view name) {
    if (ask_.texts.size() == limits_.texts) {
      return stop(413, "texts/too-many", fmt::format("there are more than {} texts", limits_.texts),
                  "send several requests, or NDJSON");
    }
    if (text.bytes() > limits_.text_bytes) {
      return stop(413, "text/too-long",
                  fmt::format("{} has {} bytes, over {}", name, text.bytes(), limits_.text_bytes),
                  "send its beginning: a model reads no more than some thousand bytes");
    }
    if (text.second && !served_.takes_pairs) {
      return stop(422, "text/pair", "this model takes no pairs", "send single texts");
    }
    ask_.texts.push_back(std::move(text));
  }

  // A text; a list of texts, and of pairs where a list of two texts is one.
  void read_inputs(JsonValue value, std::string_view name, bool two_are_a_pair) {
    if (value.text()) {
      ask_.form.one = true;
      return add(value, name);
    }
    if (!value.is_list()) return wrong(name, value, "a text or a list of them");
    const std::vector<JsonValue> items = value.list();
    if (items.empty()) {
      return stop(400, "texts/none", fmt::format("{} is an empty list", name), "send a text");
    }
    if (two_are_a_pair && items.size() == 2 && items[0].text() && items[1].text()) {
      ask_.form.one = true;
      return add_pair(items[0], items[1], name);
    }
    for (const JsonValue item : items) {
      if (problem_) return;
      const std::vector<JsonValue> parts = item.list();
      if (!item.is_list()) {
        add(item, fmt::format("an item of {}", name));
      } else if (parts.size() == 2) {
        add_pair(parts[0], parts[1], fmt::format("an item of {}", name));
      } else if (parts.size() == 1 && two_are_a_pair) {
        add(parts[0], fmt::format("an item of {}", name));
      } else {
        wrong(fmt::format("an item of {}", name), item, "a text or a pair of texts");
      }
    }
  }

  bool flag(const JsonField& field, bool absent) {
    if (field.value.is_null()) return absent;
    if (const auto value = field.value.boolean()) return *value;
    wrong(field.name, field.value, "true or false");
    return absent;
  }

  void read_classify(const std::vector<JsonField>& fields) {
    static constexpr std::string_view kKnown[] = {"input", "pair", "top_k", "raw", "truncate"};
    std::optional<JsonValue> input, pair;
    for (const JsonField& field : fields) {
      if (field.name == "input") {
        input = field.value;
      } else if (field.name == "pair") {
        if (!field.value.is_null()) pair = field.value;
      } else if (field.name == "top_k") {
        read_top(field);
      } else if (field.name == "raw") {
        ask_.form.raw = flag(field, false);
      } else if (field.name == "truncate") {
        ask_.form.truncate = flag(field, true);
      } else {
        unknown(field.name, kKnown);
      }
    }
    if (!input) return missing("input");
    if (pair) {
      ask_.form.one = true;
      return add_pair(*input, *pair, "input and pair");
    }
    if (ask_.form.route == Route::classify_lines && !input->text()) {
      return wrong("input", *input, "a text: one a line");
    }
    read_inputs(*input, "input", false);
  }
  void read_top(const JsonField& field) {
    const auto count = field.value.count();
    if (field.value.is_null()) return;
    if (field.value.text() == "all") {
      ask_.form.top = served_.labels.size();
    } else if (count && *count >= 1) {
      ask_.form.top = std::min<std::size_t>(*count, served_.labels.size());
    } else {
      wrong(field.name, field.value, R"(a number from 1 on or "all")");
    }
  }
  void missing(std::string_view name) {
    stop(422, "json/field", fmt::format("{} is missing", name), "see /openapi.json");
  }

  void read_predict(const std::vector<JsonField>& fields) {
    static constexpr std::string_view kKnown[] = {"inputs", "truncate", "truncation_direction",
                                                  "raw_scores"};
    std::optional<JsonValue> input;
    ask_.form.top = served_.labels.size();
    for (const JsonField& field : fields) {
      if (field.name == "inputs") {
        input = field.value;
      } else if (field.name == "truncate") {
        ask_.form.truncate = flag(field, true);
      } else if (field.name == "raw_scores") {
        ask_.form.raw = flag(field, false);
      } else if (field.name == "truncation_direction") {
        const auto side = field.value.text();
        if (side != "Right" && side != "right") wrong(field.name, field.value, R"("Right")");
      } else {
        unknown(field.name, kKnown);
      }
    }
    if (!input) return missing("inputs");
    read_inputs(*input, "inputs", true);
  }

  void read_vllm(const std::vector<JsonField>& fields) {
    static constexpr std::string_view kKnown[] = {"input",      "model", "use_activation",
                                                  "activation", "user",  "truncate_prompt_tokens"};
    std::optional<JsonValue> input;
    ask_.form.top = served_.labels.size();
    for (const JsonField& field : fields) {
      if (field.name == "input") {
        input = field.value;
      } else if (field.name == "model") {
        read_model(field);
      } else if (field.name == "use_activation" || field.name == "activation") {
        ask_.form.raw = !flag(field, true);
      } else if (field.name == "truncate_prompt_tokens") {
        const bool longest = field.value.is_null() || field.value.integer() == -1 ||
                             field.value.count() == served_.max_length;
        if (!longest) {
          wrong(field.name, field.value,
                fmt::format("-1 or {}, where this server cuts", served_.max_length));
        }
      } else if (field.name != "user") {
        unknown(field.name, kKnown);
      }
    }
    if (!input) return missing("input");
    read_inputs(*input, "input", false);
    ask_.form.one = false;
  }
  void read_model(const JsonField& field) {
    if (field.value.is_null() || field.value.text() == served_.model) return;
    stop(404, "model/unknown",
         fmt::format("model is {}; this server has {}", field.value.shown(),
                     json_text(served_.model)),
         "leave model out");
  }

  void read_infer(const std::vector<JsonField>& fields) {
    static constexpr std::string_view kKnown[] = {"id", "parameters", "inputs", "outputs"};
    std::optional<JsonValue> inputs;
    bool binary = false;  // outputs that do not say
    for (const JsonField& field : fields) {
      if (field.name == "id") {
        const auto id = field.value.text();
        if (!id || id->size() > 128) return wrong(field.name, field.value, "a short text");
        ask_.form.id = *id;
      } else if (field.name == "inputs") {
        inputs = field.value;
      } else if (field.name == "parameters") {
        binary = truth(field.value.find("binary_data_output"), false);
        read_timeout(field.value.find("timeout"));
      } else if (field.name != "outputs") {
        unknown(field.name, kKnown);
      }
    }
    for (const JsonField& field : fields) {
      if (field.name == "outputs") read_outputs(field.value, binary);
    }
    if (ask_.form.outputs.empty()) ask_.form.outputs = {{"label", binary}, {"score", binary}};
    if (!inputs) return missing("inputs");
    std::vector<std::string_view> first, second;
    bool pairs = false;
    for (const JsonValue input : inputs->list()) {
      const auto name = input.find("name");
      const auto known = name ? name->text() : std::nullopt;
      if (known == "text") {
        first = read_tensor(input, "text");
      } else if (known == "pair") {
        second = read_tensor(input, "pair");
        pairs = true;
      } else {
        stop(422, "infer/input",
             fmt::format("an input is called {}", name ? name->shown() : "null"),
             "the inputs are text and, for pairs, pair");
      }
    }
    if (!binary_.empty()) {
      stop(400, "infer/binary",
           fmt::format("{} bytes behind the JSON belong to no input", binary_.size()),
           "give each input its binary_data_size");
    }
    if (problem_) return;
    if (first.empty()) return stop(400, "texts/none", "the input text has no data", "send a text");
    if (pairs && first.size() != second.size()) {
      return stop(422, "infer/shape",
                  fmt::format("text has {} elements and pair {}", first.size(), second.size()),
                  "give as many of each");
    }
    for (std::size_t i = 0; i < first.size() && !problem_; ++i) {
      OwnedText text{std::string(first[i])};
      if (pairs) text.second = std::string(second[i]);
      add(std::move(text), "an element");
    }
  }
  // Microseconds, as in Triton.
  void read_timeout(std::optional<JsonValue> value) {
    if (!value) return;
    const auto us = value->count();
    if (!us || *us == 0 || *us > 3'600'000'000) {
      return wrong("timeout", *value, "microseconds from 1 to 3600000000");
    }
    ask_.form.limit_s = static_cast<double>(*us) / 1e6;
  }
  bool truth(std::optional<JsonValue> value, bool absent) {
    return value ? value->boolean().value_or(absent) : absent;
  }
  // BYTES of shape [B] or [B, 1], in the JSON or behind it.
  std::vector<std::string_view> read_tensor(JsonValue input, std::string_view name) {
    const auto type = input.find("datatype"), shape = input.find("shape"),
               data = input.find("data"), parameters = input.find("parameters");
    const auto size = parameters ? parameters->find("binary_data_size") : std::nullopt;
    if (!type || type->text() != "BYTES") {
      wrong(fmt::format("datatype of {}", name), type.value_or(input), R"("BYTES")");
      return {};
    }
    std::vector<std::string_view> items;
    if (size) {
      items = read_binary(*size, name);
    } else if (!data || !data->is_list()) {
      wrong(fmt::format("data of {}", name), data.value_or(input), "a list of texts");
    } else {
      read_data(*data, name, items);
    }
    if (problem_) return {};
    const std::vector<JsonValue> sizes = shape ? shape->list() : std::vector<JsonValue>{};
    const bool right = (sizes.size() == 1 || (sizes.size() == 2 && sizes[1].count() == 1U)) &&
                       sizes[0].count() == items.size();
    if (!right) {
      wrong(fmt::format("shape of {}", name), shape.value_or(input),
            fmt::format("[{}], as many as its data", items.size()));
    }
    return items;
  }
  void read_data(JsonValue data, std::string_view name, std::vector<std::string_view>& items) {
    for (const JsonValue item : data.list()) {
      const std::vector<JsonValue> row = item.is_list() ? item.list() : std::vector{item};
      for (const JsonValue part : row) {
        const auto text = part.text();
        if (!text) return wrong(fmt::format("data of {}", name), part, "a text");
        items.push_back(*text);
      }
    }
  }
  // Each element: its bytes, counted in four bytes before it.
  std::vector<std::string_view> read_binary(JsonValue size, std::string_view name) {
    const auto bytes = size.count();
    if (!bytes || *bytes > binary_.size()) {
      wrong(fmt::format("binary_data_size of {}", name), size,
            fmt::format("the {} bytes that are left behind the JSON", binary_.size()));
      return {};
    }
    std::string_view rest = binary_.substr(0, *bytes);
    binary_.remove_prefix(*bytes);
    std::vector<std::string_view> items;
    while (!rest.empty()) {
      std::uint32_t count = 0;
      if (rest.size() >= sizeof count) std::memcpy(&count, rest.data(), sizeof count);
      if (rest.size() < sizeof count || rest.size() - sizeof count < count) {
        stop(400, "infer/binary",
             fmt::format("element {} of {} ends behind its tensor", items.size(), name),
             "send four bytes of length, lowest first, before each text");
        return {};
      }
      items.push_back(rest.substr(sizeof count, count));
      if (first_invalid_utf8(items.back()) < items.back().size()) {
        stop(422, "text/utf-8",
             fmt::format("element {} of {} is not UTF-8", items.size() - 1, name), "send UTF-8");
        return {};
      }
      rest.remove_prefix(sizeof count + count);
    }
    return items;
  }
  void read_outputs(JsonValue value, bool binary) {
    for (const JsonValue output : value.list()) {
      const auto name = output.find("name");
      const auto known = name ? name->text() : std::nullopt;
      if (known != "label" && known != "score" && known != "logits") {
        return stop(422, "infer/output",
                    fmt::format("an output is called {}", name ? name->shown() : "null"),
                    "the outputs are label, score and logits");
      }
      Form::Output wanted{std::string(*known), binary};
      const auto parameters = output.find("parameters");
      if (parameters) wanted.binary = truth(parameters->find("binary_data"), binary);
      const auto count = parameters ? parameters->find("classification") : std::nullopt;
      if (count) {
        if (known != "label" || count->count().value_or(0) == 0) {
          return wrong("classification", *count, "a number from 1 on, of the output label");
        }
        wanted.classification = std::min<std::size_t>(*count->count(), served_.labels.size());
      }
      ask_.form.outputs.push_back(std::move(wanted));
    }
  }

  void check_texts() {
    if (problem_ || ask_.form.truncate) return;
    for (const OwnedText& text : ask_.texts) {
      // No text has more tokens than bytes, but for the special ones.
      if (text.bytes() + 4 <= served_.max_length) continue;
      const std::size_t tokens = served_.count_tokens(text.view());
      if (tokens <= served_.max_length) continue;
      return stop(422, "text/tokens",
                  fmt::format("a text has {} tokens, over {}", tokens, served_.max_length),
                  "leave truncate out, which cuts it there");
    }
  }

  const Served& served_;
  const BodyLimits& limits_;
  std::string_view binary_;  // behind the JSON, that no input took yet
  Ask ask_;
  std::optional<Problem> problem_;
};

}  // namespace

std::size_t Ask::bytes() const {
  std::size_t sum = 0;
  for (const OwnedText& text : texts) sum += text.bytes();
  return sum;
}

Checked<Ask> parse_ask(Route route, std::string_view body, const Served& served,
                       const BodyLimits& limits, std::optional<std::size_t> json_bytes) {
  std::string_view binary;
  if (json_bytes) {
    if (*json_bytes > body.size()) {
      return refuse(400, "infer/binary",
                    fmt::format("the JSON should have {} bytes, and the body has {}", *json_bytes,
                                body.size()),
                    "send the length of the JSON as Inference-Header-Content-Length");
    }
    binary = body.substr(*json_bytes);
    body = body.substr(0, *json_bytes);
  }
  if (const std::size_t at = first_invalid_utf8(body); at < body.size()) {
    return refuse(422, "text/utf-8", fmt::format("byte {} of the body is not UTF-8", at),
                  "send UTF-8");
  }
  return Reader(route, served, limits, binary).read(body);
}

}  // namespace breakeven::serve
