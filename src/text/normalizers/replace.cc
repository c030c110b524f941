#include "text/normalizers/replace.h"

#include "base/utf8.h"
#include "text/part_kinds.h"
#include "text/unicode.h"

namespace breakeven::text {

// Code points of the match that starts at text[at]; 0: none does.
std::size_t ReplaceNormalizer::match(std::u32string_view text, std::size_t at) const {
  if (pattern_ == Pattern::literal)
    return text.substr(at).starts_with(literal_) ? literal_.size() : 0;
  const auto counts = [&](char32_t c) {
    return pattern_ == Pattern::blanks ? c == U' ' : is_whitespace(c);
  };
  std::size_t end = at;
  while (end < text.size() && counts(text[end])) ++end;
  if (end - at >= 2) return end - at;
  const char32_t c = text[at];
  const bool line = c == U'\n' || c == U'\r' || c == U'\t';
  return pattern_ == Pattern::spaces_or_lines && line ? 1 : 0;
}

void ReplaceNormalizer::normalize(std::u32string_view text, NormalizerBuffers& /*buffers*/,
                                  std::u32string& out) const {
  out.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = match(text, at);
    if (length == 0) {
      out.push_back(text[at++]);
    } else {
      out += content_;
      at += length;
    }
  }
}

Result<std::unique_ptr<Normalizer>> read_replace(const JsonObject& object) {
  BREAKEVEN_TRY(const std::string content, object.text("content"));
  BREAKEVEN_TRY(const JsonObject pattern, object.object("pattern"));
  const bool literal = pattern.find("String").has_value();
  BREAKEVEN_TRY(const std::string text, pattern.text(literal ? "String" : "Regex"));
  ReplaceNormalizer::Pattern kind = ReplaceNormalizer::Pattern::literal;
  if (literal) {
    if (text.empty()) return pattern.wrong("String", "a text");
  } else if (text == " {2,}") {
    kind = ReplaceNormalizer::Pattern::blanks;
  } else if (text == R"(\s{2,}|[\n\r\t])") {
    kind = ReplaceNormalizer::Pattern::spaces_or_lines;
  } else {
    return unsupported(pattern.where("Regex"), "'" + text + "'", R"(' {2,}' or '\s{2,}|[\n\r\t]')");
  }
  std::u32string literal_points, content_points;
  append_code_points(text, literal_points);
  append_code_points(content, content_points);
  return std::make_unique<ReplaceNormalizer>(kind, std::move(literal_points),
                                             std::move(content_points));
}

}  // namespace breakeven::text
