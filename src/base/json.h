// Reading JSON, the one reader of the program: simdjson parses, this checks. (Nothing here writes;
// nlohmann does.) Whole numbers beyond 64 bits are read as floating point: Hugging Face writes 1e30
// with all its digits. Of two fields with one name the last counts, as in Python. Nested deeper
// than kMaxJsonDepth is an error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven {

struct JsonField;

// One value inside of a JsonDocument, which must outlive it. 16 bytes, freely copied.
class JsonValue {
 public:
  // Each is nothing, or empty, where the value is of another type.
  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer() const;
  std::optional<std::uint64_t> count() const;  // a whole number from 0 on
  std::optional<double> number() const;
  std::optional<std::string_view> text() const;
  std::vector<JsonValue> list() const;
  std::vector<JsonField> object() const;  // in the order of the text, double names included
  std::optional<JsonValue> find(std::string_view name) const;  // a field of an object

  bool is_null() const;
  bool is_list() const;
  bool is_object() const;
  std::string shown(std::size_t most = 60) const;  // as JSON, cut to so many bytes

 private:
  friend class JsonDocument;
  friend struct JsonAccess;
  alignas(8) std::array<std::byte, 16> element_{};
};

struct JsonField {
  std::string_view name;
  JsonValue value;
};

// What Python writes of floats that JSON has no number for: there Infinity reads as the largest
// double (so that limits hold), NaN as the text "NaN" (so that no field takes it for a number).
enum class JsonDialect : std::uint8_t { strict, python };

// What errors about one text say: where it stands ("/models/x/config.json", or ""), the codes of a
// text that is no JSON and of a field that is missing or wrong, and what to try.
struct JsonSource {
  std::string where;
  std::string json_code, field_code;
  std::string hint;
  JsonDialect dialect = JsonDialect::strict;
};

class JsonObject;

class JsonDocument {
 public:
  // Errors: source.json_code, with the byte at which the text is broken.
  static Result<JsonDocument> parse(std::string_view text, JsonSource source);

  JsonValue value() const;
  Result<JsonObject> object() const;  // errors: source.json_code where it is another type

 private:
  struct State;
  explicit JsonDocument(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// Limits that a number has to keep to.
struct JsonRange {
  std::uint64_t least = 0, most = static_cast<std::uint64_t>(-1);
};

// One object of a document, with the path to it for messages: checked fields. Where `absent` is
// given, it stands for a field that is missing or null; else that is an error, as is a field of
// another type. Errors: source.field_code, "config.json: hidden_size is 0, not a whole number from
// 1 to 65536".
class JsonObject {
 public:
  JsonObject(JsonValue value, std::string path, const JsonSource& source)
      : value_(value), path_(std::move(path)), source_(&source) {}

  std::optional<JsonValue> find(std::string_view name) const;  // nothing where missing or null
  std::vector<JsonField> fields() const { return value_.object(); }

  Result<bool> boolean(std::string_view name, std::optional<bool> absent = {}) const;
  Result<std::uint64_t> count(std::string_view name, JsonRange range = {},
                              std::optional<std::uint64_t> absent = {}) const;
  Result<double> number(std::string_view name, std::optional<double> absent = {}) const;
  Result<std::string> text(std::string_view name, std::optional<std::string> absent = {}) const;
  Result<std::vector<JsonValue>> list(std::string_view name, JsonRange size = {}) const;
  Result<JsonObject> object(std::string_view name) const;

  // The same of a value that stands in a list or an object of this one: `name` says which.
  Result<JsonObject> as_object(JsonValue value, std::string_view name) const;
  Result<std::uint64_t> as_count(JsonValue value, std::string_view name, JsonRange range) const;
  Result<std::string> as_text(JsonValue value, std::string_view name) const;

  std::string path(std::string_view name) const;   // "model.vocab"
  std::string where(std::string_view name) const;  // "tokenizer.json: model.vocab"
  const JsonSource& source() const { return *source_; }
  // "... is <value>, not <wanted>"; "... is missing" where there is no such field.
  tl::unexpected<Error> wrong(std::string_view name, std::string_view wanted) const;
  tl::unexpected<Error> wrong(std::string_view name, JsonValue value,
                              std::string_view wanted) const;

 private:
  JsonValue value_;
  std::string path_;
  const JsonSource* source_;
};

// "5", "5 to 9": how messages say a range.
std::string to_string(const JsonRange& range);

}  // namespace breakeven
