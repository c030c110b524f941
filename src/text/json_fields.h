// Reading fields out of tokenizer JSON: what is there, with its type checked, or an error that
// names the file and the field.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/spec.h"

namespace breakeven::text {

// A parsed file; elements point into it.
struct JsonFile {
  std::string name;  // for messages
  simdjson::dom::parser parser;
  simdjson::dom::element root;
};

// Parses `content`, which must be one JSON object. Errors: tokenizer/json.
Result<void> parse_json(const std::string& name, const std::string& content, JsonFile& file);

// One object of a file and the path to it, "tokenizer.json: model".
class JsonObject {
 public:
  JsonObject(simdjson::dom::object object, std::string where)
      : object_(object), where_(std::move(where)) {}
  static Result<JsonObject> from(simdjson::dom::element element, std::string where);

  const std::string& where() const { return where_; }
  std::string path(std::string_view field) const { return where_ + "." + std::string(field); }
  simdjson::dom::object object() const { return object_; }

  // The field, or nothing where it is missing or null.
  std::optional<simdjson::dom::element> find(std::string_view field) const;
  // Each returns `fallback` where the field is missing or null. Errors: tokenizer/json when it has
  // another type.
  Result<bool> boolean(std::string_view field, bool fallback) const;
  Result<std::int64_t> integer(std::string_view field, std::int64_t fallback) const;
  Result<std::string> string(std::string_view field, std::string_view fallback) const;
  // Errors: tokenizer/json when it is missing or another type.
  Result<JsonObject> child(std::string_view field) const;

 private:
  simdjson::dom::object object_;
  std::string where_;
};

// content, lstrip, rstrip, normalized of an added token; its id is the caller's to read. Errors:
// tokenizer/json, tokenizer/unsupported for single_word.
Result<AddedToken> read_added_token(const JsonObject& object);

tl::unexpected<Error> wrong_type(const std::string& where, std::string_view expected);

}  // namespace breakeven::text
