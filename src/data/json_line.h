// One JSON object on one line of data: its fields as the bytes that stand there, so that what we
// pass on is what came in (30-digit numbers, 1.10, the order of the fields), which no parser into
// values keeps, simdjson among them (base/json_scan.h). Strict about grammar (RFC 8259), lenient
// about text: see decode_string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json_scan.h"
#include "base/result.h"

namespace breakeven::data {

using JsonField = RawJsonField;

// Appends the top-level fields of `json` to `fields`, as views into it. Nothing but blanks may
// follow the object. `json` must be valid UTF-8 (repair_utf8) if what is passed on shall be.
// Errors: data/json with the column; its message starts with what is wrong and names no file.
// `not_finite`: as scan_json_object has it.
Result<void> parse_object(std::string_view json, std::vector<JsonField>& fields,
                          bool* not_finite = nullptr);

// "an object", "a number": what a value of parse_object is.
std::string_view json_type_name(std::string_view value);

// Appends a value with no blank between its parts, so that it stands on one line, and with null in
// place of NaN, Infinity and -Infinity; returns how many of these there were.
std::size_t append_compact(std::string_view value, std::string& out);

// What stands between the quotes of a JSON string, decoded. A surrogate without its partner becomes
// U+FFFD, as in every browser. `quoted` is a value of parse_object with its quotes.
std::string decode_string(std::string_view quoted);
// The same for a key, which has no quotes.
std::string decode_key(std::string_view key);

// Appends `text` as a JSON string with quotes; bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string_view text, std::string& out);

}  // namespace breakeven::data
