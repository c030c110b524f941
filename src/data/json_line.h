// One JSON object on one line: its fields as the bytes that stand there, so that what we pass on is
// what came in (30-digit numbers, 1.10, the order of the fields), which no parser into a tree
// keeps. Strict about grammar (RFC 8259), lenient about text: see decode_string.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::data {

struct JsonField {
  std::string_view key;    // between its quotes, escapes as they stand
  std::string_view value;  // the whole value: a string with its quotes, an object, a number ...
  bool is_string() const { return value.starts_with('"'); }
};

// Appends the top-level fields of `json` to `fields`, as views into it. Nothing but blanks may
// follow the object. `json` must be valid UTF-8 (repair_utf8) if what is passed on shall be.
// Errors: data/json with the column; its message starts with what is wrong and names no file.
Result<void> parse_object(std::string_view json, std::vector<JsonField>& fields);

// What stands between the quotes of a JSON string, decoded. A surrogate without its partner becomes
// U+FFFD, as in every browser. `quoted` is a value of parse_object with its quotes.
std::string decode_string(std::string_view quoted);
// The same for a key, which has no quotes.
std::string decode_key(std::string_view key);

// Appends `text` as a JSON string with quotes; bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string_view text, std::string& out);

bool is_valid_utf8(std::string_view text);
// A copy in which each maximal part of a broken sequence (Unicode 15, section 3.9) is U+FFFD.
std::string repair_utf8(std::string_view text);

}  // namespace breakeven::data
