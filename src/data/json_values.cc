#include "data/json_values.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/json_line.h"

namespace breakeven::data {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kObjects = "give an array of objects or one object a line";
constexpr std::string_view kCut = "the file may be cut off: copy or download it again";

// Walks through the bytes of an object; brackets of both kinds count alike, the grammar is checked
// later.
class Depth {
 public:
  // True behind the bracket that closes the first one.
  bool take(char c) {
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      return false;
    }
    if (c == '"') in_string_ = true;
    if (c == '{' || c == '[') ++depth_;
    return (c == '}' || c == ']') && --depth_ == 0;
  }
  bool in_string() const { return in_string_; }

 private:
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace

bool JsonValues::are_in(std::string_view first_line) {
  const std::size_t start = first_line.find_first_not_of(kBlanks);
  if (start == std::string_view::npos) return false;
  if (first_line[start] == '[') return true;
  const std::size_t end = first_line.find_first_of("\r\n", start);
  if (first_line[start] != '{' || end == std::string_view::npos) return false;
  Depth depth;
  for (const char c : first_line.substr(start, end - start)) {
    if (depth.take(c)) return false;
  }
  return !depth.in_string();
}

Result<char> JsonValues::next_letter() {
  for (;;) {
    BREAKEVEN_TRY(const std::string_view text, lines_.ahead(1));
    const std::size_t blanks = std::min(text.find_first_not_of(kBlanks), text.size());
    lines_.skip(blanks);
    if (blanks < text.size()) return text[blanks];
    if (text.empty()) return '\0';
  }
}

tl::unexpected<Error> JsonValues::wrong(std::size_t line, std::string_view what,
                                        std::string_view hint) const {
  return fail("data/json", fmt::format("{}, line {}: {}", lines_.name(), line, what),
              std::string(hint));
}

// Takes away what stands between values; the first letter of the next one, 0 at the end.
Result<char> JsonValues::start_of_value() {
  BREAKEVEN_TRY(char letter, next_letter());
  if (!started_) {
    started_ = true;
    in_array_ = letter == '[';
    array_line_ = lines_.line() + 1;
    if (in_array_) {
      lines_.skip(1);
      BREAKEVEN_TRY(letter, next_letter());
    }
  }
  if (!in_array_) return letter;
  const std::size_t line = lines_.line() + 1;
  if (letter == ']') {
    lines_.skip(1);
    in_array_ = false;
    BREAKEVEN_TRY(const char behind, next_letter());
    if (behind != '\0') return wrong(lines_.line() + 1, "more text behind the array", kObjects);
    return '\0';
  }
  if (letter != '\0' && any_) {
    if (letter != ',')
      return wrong(line, "a ',' or ']' is expected behind an object of the array", kObjects);
    lines_.skip(1);
    BREAKEVEN_TRY(letter, next_letter());
  }
  if (letter == '\0') return wrong(array_line_, "the array that begins here does not end", kCut);
  any_ = true;
  return letter;
}

// Of the object that comes next, which begins here.
Result<std::size_t> JsonValues::value_bytes() {
  Depth depth;
  for (std::size_t at = 0;;) {
    BREAKEVEN_TRY(const std::string_view text, lines_.ahead(at + 1));
    if (text.size() == at) return wrong(line_, "the object that begins here does not end", kCut);
    for (; at < text.size(); ++at) {
      if (depth.take(text[at])) return at + 1;
      if (at >= lines_.max_line_bytes()) return tl::unexpected<Error>(lines_.too_long(line_));
    }
  }
}

Result<std::optional<std::string_view>> JsonValues::next() {
  lines_.skip(handed_out_);
  handed_out_ = 0;
  BREAKEVEN_TRY(const char first, start_of_value());
  if (first == '\0') return std::optional<std::string_view>();
  line_ = lines_.line() + 1;
  if (first != '{') {
    return wrong(line_,
                 fmt::format("{} stands where an object is expected",
                             json_type_name(std::string_view(&first, 1))),
                 "give an array of objects; jq -c '.[] | {text: .}' makes objects of strings; for "
                 "plain text give --input-format lines");
  }
  BREAKEVEN_TRY(handed_out_, value_bytes());
  BREAKEVEN_TRY(const std::string_view text, lines_.ahead(handed_out_));
  return std::optional(text.substr(0, handed_out_));
}

}  // namespace breakeven::data
