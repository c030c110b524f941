// What BertNormalizer does to a text and what BertPreTokenizer splits it at, stage by stage and by
// the definition. The one-pass path (one_pass.h) is built from these functions at load and judged
// by them in the tests.
#pragma once

#include <string>
#include <string_view>

namespace breakeven::text {

struct NormalizerFlags {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;  // the effective value: where a file says null, it follows `lowercase`
  bool lowercase = true;

  friend bool operator==(const NormalizerFlags&, const NormalizerFlags&) = default;
};

// The upper end of the gap U+2B820..U+2B91F, which Unicode's CJK extension E fills and Hugging
// Face's test leaves out. A corrected peer would say 0x2B820.
inline constexpr char32_t kCjkExtensionEStart = 0x2B920;

bool is_removed_by_cleaning(char32_t c);  // NUL, U+FFFD and control characters but \t \n \r
bool is_whitespace(char32_t c);
bool is_nonspacing_mark(char32_t c);
bool is_punctuation(char32_t c);  // all 32 of ASCII's, and category P beyond
bool is_cjk(char32_t c);
unsigned combining_class(char32_t c);

// Memory that normalize() uses again.
struct NormalizerBuffers {
  std::u32string decomposed;
  std::u32string sorting;
};

// Replaces `out` by the normalised `text`. Linear in the length of the text.
void normalize(std::u32string_view text, const NormalizerFlags& flags, NormalizerBuffers& buffers,
               std::u32string& out);

}  // namespace breakeven::text
