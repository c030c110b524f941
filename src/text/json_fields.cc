#include "text/json_fields.h"

#include <fmt/format.h>

namespace breakeven::text {

tl::unexpected<Error> wrong_type(const std::string& where, std::string_view expected) {
  return fail("tokenizer/json", fmt::format("{} is not {}", where, expected),
              "download the model's tokenizer files again");
}

Result<void> parse_json(const std::string& name, const std::string& content, JsonFile& file) {
  file.name = name;
  const auto error = file.parser.parse(content).get(file.root);
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
