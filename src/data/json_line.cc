#include "data/json_line.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace breakeven::data {
namespace {

// Deeper nesting than any record has, and shallow enough for any stack.
constexpr int kMaxDepth = 200;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Walks over one JSON text. Every function returns false after it has said in problem_ what is
// wrong at pos_.
class Scanner {
 public:
  explicit Scanner(std::string_view json) : json_(json) {}

  bool document(std::vector<JsonField>& fields) {
    skip_blanks();
    if (at_end()) return wrong("nothing here");
    if (peek() == '[') return wrong("an array, not an object");
    if (peek() != '{') return wrong("not a JSON object");
    if (!object(0, &fields)) return false;
    skip_blanks();
    return at_end() || wrong("more text behind the object");
  }
  std::size_t column() const { return pos_ + 1; }
  const std::string& problem() const { return problem_; }

 private:
  bool at_end() const { return pos_ >= json_.size(); }
  char peek() const { return json_[pos_]; }
  bool wrong(const char* problem) {
    problem_ = problem;
    return false;
  }
  void skip_blanks() {
    while (!at_end() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) {
      ++pos_;
    }
  }
  bool take(char expected, const char* problem) {
    if (at_end() || peek() != expected) return wrong(problem);
    ++pos_;
    return true;
  }

  // Fields go to `fields` when it is given: those of the outermost object.
  bool object(int depth, std::vector<JsonField>* fields) {
    ++pos_;
    skip_blanks();
    if (!at_end() && peek() == '}') return ++pos_, true;
    for (;;) {
      skip_blanks();
      const std::size_t key_start = pos_ + 1;
      if (at_end() || peek() != '"') return wrong("a field name in quotes is expected");
      if (!string()) return false;
      const std::string_view key = json_.substr(key_start, pos_ - 1 - key_start);
      skip_blanks();
      if (!take(':', "a ':' is expected")) return false;
      skip_blanks();
      const std::size_t value_start = pos_;
      if (!value(depth + 1)) return false;
      if (fields != nullptr) {
        fields->push_back({key, json_.substr(value_start, pos_ - value_start)});
      }
      skip_blanks();
      if (!at_end() && peek() == '}') return ++pos_, true;
      if (!take(',', "a ',' or '}' is expected")) return false;
    }
  }

  bool array(int depth) {
    ++pos_;
    skip_blanks();
    if (!at_end() && peek() == ']') return ++pos_, true;
    for (;;) {
      skip_blanks();
      if (!value(depth + 1)) return false;
      skip_blanks();
      if (!at_end() && peek() == ']') return ++pos_, true;
      if (!take(',', "a ',' or ']' is expected")) return false;
    }
  }

  bool value(int depth) {
    if (depth > kMaxDepth) return wrong("nested more than 200 deep");
    if (at_end()) return wrong("a value is expected");
    switch (peek()) {
      case '"':
        return string();
      case '{':
        return object(depth, nullptr);
      case '[':
        return array(depth);
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool word(std::string_view expected) {
    if (json_.substr(pos_, expected.size()) != expected) return wrong("a value is expected");
    pos_ += expected.size();
    return true;
  }

  bool digits() {
    if (at_end() || !is_digit(peek())) return wrong("a digit is expected");
    while (!at_end() && is_digit(peek())) ++pos_;
    return true;
  }

  bool number() {
    if (peek() != '-' && !is_digit(peek())) return wrong("a value is expected");
    if (peek() == '-') ++pos_;
    if (!at_end() && peek() == '0') {
      ++pos_;
    } else if (!digits()) {
      return false;
    }
    if (!at_end() && peek() == '.') {
      ++pos_;
      if (!digits()) return false;
    }
    if (!at_end() && (peek() == 'e' || peek() == 'E')) {
      ++pos_;
      if (!at_end() && (peek() == '+' || peek() == '-')) ++pos_;
      if (!digits()) return false;
    }
    return true;
  }

  bool string() {
    ++pos_;
    for (;;) {
      if (at_end()) return wrong("the string does not end");
      const char c = peek();
      if (c == '"') return ++pos_, true;
      if (static_cast<unsigned char>(c) < 0x20) {
        return wrong("a control character must be escaped in a string");
      }
      ++pos_;
      if (c == '\\' && !escape()) return false;
    }
  }

  bool escape() {
    if (at_end()) return wrong("the string does not end");
    const char c = peek();
    if (std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos) return ++pos_, true;
    if (c != 'u') return wrong("an unknown escape in a string");
    for (int i = 1; i <= 4; ++i) {
      ++pos_;
      if (at_end() || hex_value(peek()) < 0) return wrong("\\u needs four hexadecimal digits");
    }
    return ++pos_, true;
  }

  std::string_view json_;
  std::size_t pos_ = 0;
  std::string problem_;
};

void append_utf8(std::uint32_t code_point, std::string& out) {
  const auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xC0 | (code_point >> 6));
    add(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    add(0xE0 | (code_point >> 12));
    add(0x80 | ((code_point >> 6) & 0x3F));
    add(0x80 | (code_point & 0x3F));
  } else {
    add(0xF0 | (code_point >> 18));
    add(0x80 | ((code_point >> 12) & 0x3F));
    add(0x80 | ((code_point >> 6) & 0x3F));
    add(0x80 | (code_point & 0x3F));
  }
}

// The unit of "\uXXXX" at `at`; nothing when no such escape stands there.
std::optional<std::uint32_t> unit_at(std::string_view text, std::size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  for (std::size_t i = 2; i < 6; ++i) {
    unit = unit * 16 + static_cast<std::uint32_t>(hex_value(text[at + i]));
  }
  return unit;
}

// Decodes the escape at text[at] (a backslash) into `out`; returns the bytes it takes.
std::size_t decode_escape(std::string_view text, std::size_t at, std::string& out) {
  constexpr std::string_view kNames = "bfnrt";
  constexpr std::string_view kValues = "\b\f\n\r\t";
  const std::optional<std::uint32_t> unit = unit_at(text, at);
  if (!unit) {
    const std::size_t name = kNames.find(text[at + 1]);
    out += name == std::string_view::npos ? text[at + 1] : kValues[name];
    return 2;
  }
  if (*unit < 0xD800 || *unit > 0xDFFF) {
    append_utf8(*unit, out);
    return 6;
  }
  const std::optional<std::uint32_t> next = unit_at(text, at + 6);
  if (*unit <= 0xDBFF && next && *next >= 0xDC00 && *next <= 0xDFFF) {
    append_utf8(0x10000 + ((*unit - 0xD800) << 10) + (*next - 0xDC00), out);
    return 12;
  }
  append_utf8(0xFFFD, out);
  return 6;
}

}  // namespace

Result<void> parse_object(std::string_view json, std::vector<JsonField>& fields) {
  Scanner scanner(json);
  if (scanner.document(fields)) return {};
  return fail("data/json", fmt::format("{} (column {})", scanner.problem(), scanner.column()));
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
