#include "text/json_fields.h"

#include <fmt/format.h>

namespace breakeven::text {

tl::unexpected<Error> wrong_type(const std::string& where, std::string_view expected) {
  return fail("tokenizer/json", fmt::format("{} is not {}", where, expected),
              "download the model's tokenizer files again");
}

namespace {

// simdjson refuses whole numbers beyond 64 bits, and HF writes 1000000000000000019884624838656 for
// "no limit". Gives such numbers a fraction, so that they are read as floating point.
std::string with_large_numbers_as_fractions(std::string_view json) {
  constexpr std::size_t kSafeDigits = 18;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::string out;
  bool in_string = false;
  for (std::size_t at = 0; at < json.size();) {
    if (in_string || !is_digit(json[at])) {
      const bool escape = in_string && json[at] == '\\' && at + 1 < json.size();
      if (json[at] == '"') in_string = !in_string;
      out.append(json.substr(at, escape ? 2 : 1));
      at += escape ? 2 : 1;
      continue;
    }
    std::size_t stop = at;
    while (stop < json.size() && is_digit(json[stop])) ++stop;
    out.append(json.substr(at, stop - at));
    const char next = stop < json.size() ? json[stop] : ' ';
    const char before = at > 0 ? json[at - 1] : ' ';
    const bool whole = next != '.' && next != 'e' && next != 'E' && before != '.' &&
                       before != 'e' && before != 'E' && before != '+';
    if (whole && stop - at > kSafeDigits) out += ".0";
    at = stop;
  }
  return out;
}

}  // namespace

Result<void> parse_json(const std::string& name, const std::string& content, JsonFile& file) {
  file.name = name;
  auto error = file.parser.parse(content).get(file.root);
  if (error == simdjson::NUMBER_ERROR)
    error = file.parser.parse(with_large_numbers_as_fractions(content)).get(file.root);
  if (error)
    return fail("tokenizer/json", fmt::format("{} is not JSON: {}", name, error_message(error)),
                "download the file again");
  if (!file.root.is_object()) return wrong_type(name, "a JSON object");
  return {};
}

Result<JsonObject> JsonObject::from(simdjson::dom::element element, std::string where) {
  simdjson::dom::object object;
  if (element.get(object)) return wrong_type(where, "an object");
  return JsonObject(object, std::move(where));
}

std::optional<simdjson::dom::element> JsonObject::find(std::string_view field) const {
  simdjson::dom::element element;
  if (object_.at_key(field).get(element) || element.is_null()) return std::nullopt;
  return element;
}

Result<bool> JsonObject::boolean(std::string_view field, bool fallback) const {
  const auto element = find(field);
  if (!element) return fallback;
  bool value = false;
  if (element->get(value)) return wrong_type(path(field), "true or false");
  return value;
}

Result<std::int64_t> JsonObject::integer(std::string_view field, std::int64_t fallback) const {
  const auto element = find(field);
  if (!element) return fallback;
  std::int64_t value = 0;
  if (element->get(value)) return wrong_type(path(field), "a whole number");
  return value;
}

Result<std::string> JsonObject::string(std::string_view field, std::string_view fallback) const {
  const auto element = find(field);
  if (!element) return std::string(fallback);
  std::string_view value;
  if (element->get(value)) return wrong_type(path(field), "a string");
  return std::string(value);
}

Result<JsonObject> JsonObject::child(std::string_view field) const {
  const auto element = find(field);
  if (!element) return wrong_type(path(field), "there");
  return from(*element, path(field));
}

Result<AddedToken> read_added_token(const JsonObject& object) {
  AddedToken token;
  BREAKEVEN_TRY(token.content, object.string("content", ""));
  BREAKEVEN_TRY(token.lstrip, object.boolean("lstrip", false));
  BREAKEVEN_TRY(token.rstrip, object.boolean("rstrip", false));
  BREAKEVEN_TRY(token.normalized, object.boolean("normalized", false));
  BREAKEVEN_TRY(const bool single_word, object.boolean("single_word", false));
  if (single_word)
    return fail("tokenizer/unsupported",
                fmt::format("{}: the added token '{}' has single_word set, which is not supported",
                            object.where(), token.content),
                "set single_word to false if the token may also match inside words");
  return token;
}

}  // namespace breakeven::text
