// JSON by its grammar alone (RFC 8259), byte for byte: where a text breaks it, and the fields of an
// object as the bytes that stand there. base/json.h reads values; simdjson, which is behind it,
// neither says where a text is broken nor keeps the bytes of a value, and its lazy reader, which
// does, lets broken values pass that nobody asks for.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace breakeven {

// Deeper nesting than any file of ours has, and shallow enough for any stack.
inline constexpr int kMaxJsonDepth = 200;

struct JsonProblem {
  std::size_t at;         // byte of the text
  std::string_view what;  // "a ':' is expected"
};

struct RawJsonField {
  std::string_view key;    // between its quotes, escapes as they stand
  std::string_view value;  // the whole value: a string with its quotes, an object, a number ...
  bool is_string() const { return value.starts_with('"'); }
};

// What is wrong with a text that has to be one JSON value; nothing where it is one. UTF-8 and
// surrogates are not looked at.
std::optional<JsonProblem> scan_json(std::string_view text);
// The same for a text that has to be one object, whose fields are appended to `fields`, as views.
// Where `not_finite` is given, NaN, Infinity and -Infinity, which Python writes and RFC 8259 does
// not have, count as values, and it says whether there was one.
std::optional<JsonProblem> scan_json_object(std::string_view text,
                                            std::vector<RawJsonField>& fields,
                                            bool* not_finite = nullptr);

// Bytes of the NaN, Infinity or -Infinity that `text` begins with; 0 = it begins with none.
std::size_t not_finite_bytes(std::string_view text);

}  // namespace breakeven
