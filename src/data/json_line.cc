#include "data/json_line.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>

#include "base/utf8.h"

namespace breakeven::data {
namespace {

// The unit of "\uXXXX" at `at`; nothing when no such escape stands there.
std::optional<char32_t> unit_at(std::string_view text, std::size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  std::from_chars(text.data() + at + 2, text.data() + at + 6, unit, 16);
  return unit;
}

// Decodes the escape at text[at] (a backslash) into `out`; returns the bytes it takes.
std::size_t decode_escape(std::string_view text, std::size_t at, std::string& out) {
  constexpr std::string_view kNames = "bfnrt";
  constexpr std::string_view kValues = "\b\f\n\r\t";
  const std::optional<char32_t> unit = unit_at(text, at);
  if (!unit) {
    const std::size_t name = kNames.find(text[at + 1]);
    out += name == std::string_view::npos ? text[at + 1] : kValues[name];
    return 2;
  }
  if (*unit < 0xD800 || *unit > 0xDFFF) {
    append_utf8(*unit, out);
    return 6;
  }
  const std::optional<char32_t> next = unit_at(text, at + 6);
  if (*unit <= 0xDBFF && next && *next >= 0xDC00 && *next <= 0xDFFF) {
    append_utf8(0x10000 + ((*unit - 0xD800) << 10) + (*next - 0xDC00), out);
    return 12;
  }
  append_utf8(kReplacement, out);
  return 6;
}

}  // namespace

Result<void> parse_object(std::string_view json, std::vector<JsonField>& fields, bool* not_finite) {
  const auto problem = scan_json_object(json, fields, not_finite);
  if (!problem) return {};
  return fail("data/json", fmt::format("{} (column {})", problem->what, problem->at + 1));
}

std::string_view json_type_name(std::string_view value) {
  const char first = value.front();
  if (first == '"') return "a string";
  if (first == '{') return "an object";
  if (first == '[') return "an array";
  if (first == 't' || first == 'f') return "true or false";
  if (first == 'n') return "null";
  if (first == '-' || first == 'N' || first == 'I' || (first >= '0' && first <= '9')) {
    return "a number";
  }
  return "no JSON value";
}

std::size_t append_compact(std::string_view value, std::string& out) {
  std::size_t count = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < value.size(); ++at) {
    const char c = value[at];
    if (in_string || c == '"') {
      out += c;
      if (c == '\\' && at + 1 < value.size()) {
        out += value[++at];
      } else if (c == '"') {
        in_string = !in_string;
      }
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    const std::size_t bytes = not_finite_bytes(value.substr(at));
    if (bytes == 0) {
      out += c;
      continue;
    }
    out += "null";
    at += bytes - 1;
    ++count;
  }
  return count;
}

std::string decode_key(std::string_view key) {
  std::string out;
  out.reserve(key.size());
  std::size_t at = 0;
  while (at < key.size()) {
    const std::size_t escape = key.find('\\', at);
    out += key.substr(at, escape - at);
    if (escape == std::string_view::npos) break;
    at = escape + decode_escape(key, escape, out);
  }
  return out;
}

std::string decode_string(std::string_view quoted) {
  return decode_key(quoted.substr(1, quoted.size() - 2));
}

void append_json_string(std::string_view text, std::string& out) {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = repair_utf8(text);
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '\x7F') {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace breakeven::data
