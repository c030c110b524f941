#include "base/json_scan.h"

#include <cctype>

namespace breakeven {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Walks over one JSON text. Every function returns false after it has said in problem_ what is
// wrong at pos_.
class Scanner {
 public:
  explicit Scanner(std::string_view json, bool* not_finite = nullptr)
      : json_(json), not_finite_(not_finite) {}

  // Any value, or, where `fields` is given, an object.
  bool document(std::vector<RawJsonField>* fields) {
    skip_blanks();
    if (at_end()) return wrong("nothing here");
    if (fields == nullptr) {
      if (!value(0)) return false;
    } else {
      if (peek() == '[') return wrong("an array, not an object");
      if (peek() != '{') return wrong("not a JSON object");
      if (!object(0, fields)) return false;
    }
    skip_blanks();
    return at_end() ||
           wrong(fields == nullptr ? "more text behind the value" : "more text behind the object");
  }
  JsonProblem problem() const { return {pos_, problem_}; }

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
  bool object(int depth, std::vector<RawJsonField>* fields) {
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
    if (depth > kMaxJsonDepth) return wrong("nested more than 200 deep");
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

  // NaN, Infinity or -Infinity, where they are allowed.
  bool take_not_finite() {
    if (not_finite_ == nullptr) return false;
    const std::size_t bytes = not_finite_bytes(json_.substr(pos_));
    if (bytes == 0) return false;
    pos_ += bytes;
    return *not_finite_ = true;
  }

  bool number() {
    if (take_not_finite()) return true;
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
      if (at_end() || std::isxdigit(static_cast<unsigned char>(peek())) == 0)
        return wrong("\\u needs four hexadecimal digits");
    }
    return ++pos_, true;
  }

  std::string_view json_;
  bool* not_finite_;  // null: they are not allowed
  std::size_t pos_ = 0;
  std::string_view problem_;
};

}  // namespace

std::optional<JsonProblem> scan_json(std::string_view text) {
  Scanner scanner(text);
  if (scanner.document(nullptr)) return std::nullopt;
  return scanner.problem();
}

std::optional<JsonProblem> scan_json_object(std::string_view text,
                                            std::vector<RawJsonField>& fields, bool* not_finite) {
  Scanner scanner(text, not_finite);
  if (scanner.document(&fields)) return std::nullopt;
  return scanner.problem();
}

std::size_t not_finite_bytes(std::string_view text) {
  for (const std::string_view name : {"NaN", "Infinity", "-Infinity"}) {
    if (text.starts_with(name)) return name.size();
  }
  return 0;
}

}  // namespace breakeven
