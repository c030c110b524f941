// Replace: a literal text, or one of the two patterns that tokenizers of this kind have.
#pragma once

#include <string>

#include "text/normalizers/normalizer.h"

namespace breakeven::text {

class ReplaceNormalizer final : public Normalizer {
 public:
  enum class Pattern : std::uint8_t {
    literal,
    blanks,          // " {2,}"
    spaces_or_lines  // "\s{2,}|[\n\r\t]"
  };
  ReplaceNormalizer(Pattern pattern, std::u32string literal, std::u32string content)
      : pattern_(pattern), literal_(std::move(literal)), content_(std::move(content)) {}
  void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                 std::u32string& out) const override;

  // It makes one blank of several, or one `like_blank`, and nothing else.
  bool joins_blanks(char32_t like_blank) const {
    return pattern_ == Pattern::blanks && content_.size() == 1 &&
           (content_.front() == U' ' || content_.front() == like_blank);
  }

 private:
  std::size_t match(std::u32string_view text, std::size_t at) const;

  Pattern pattern_;
  std::u32string literal_, content_;
};

Result<std::unique_ptr<Normalizer>> read_replace(const JsonObject& object);

}  // namespace breakeven::text
