#include "text/normalizers/bert.h"

#include "base/utf8.h"
#include "text/unicode.h"

namespace breakeven::text {
namespace {

// NUL, U+FFFD and control characters but \t \n \r.
bool is_removed_by_cleaning(char32_t c) {
  if (c == U'\t' || c == U'\n' || c == U'\r') return false;
  return c == 0 || c == kReplacement || is_control(c);
}

}  // namespace

void BertNormalizer::normalize(std::u32string_view text, NormalizerBuffers& buffers,
                               std::u32string& out) const {
  std::u32string& decomposed = buffers.decomposed;
  decomposed.clear();
  for (const char32_t c : text) {
    if (flags.clean_text && is_removed_by_cleaning(c)) continue;
    const bool spaced = flags.handle_chinese_chars && is_cjk(c);
    if (spaced) decomposed.push_back(U' ');
    if (flags.clean_text && is_whitespace(c)) {
      decomposed.push_back(U' ');
    } else if (flags.strip_accents) {
      append_decomposed(c, decomposed);
    } else {
      decomposed.push_back(c);
    }
    if (spaced) decomposed.push_back(U' ');
  }
  if (flags.strip_accents) order_marks(decomposed, buffers.sorting);
  out.clear();
  for (const char32_t c : decomposed) {
    if (flags.strip_accents && c >= 0x300 && is_nonspacing_mark(c)) continue;
    if (!flags.lowercase) {
      out.push_back(c);
      continue;
    }
    append_lowercase(c, out);
  }
}

Result<std::unique_ptr<Normalizer>> read_bert_normalizer(const JsonObject& object) {
  BertNormalizer::Flags flags;
  BREAKEVEN_TRY(flags.clean_text, object.boolean("clean_text", true));
  BREAKEVEN_TRY(flags.handle_chinese_chars, object.boolean("handle_chinese_chars", true));
  BREAKEVEN_TRY(flags.lowercase, object.boolean("lowercase", true));
  BREAKEVEN_TRY(flags.strip_accents, object.boolean("strip_accents", flags.lowercase));
  return std::make_unique<BertNormalizer>(flags);
}

std::unique_ptr<Normalizer> no_normalizer() {
  return std::make_unique<BertNormalizer>(BertNormalizer::Flags{false, false, false, false});
}

}  // namespace breakeven::text
