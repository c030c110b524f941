// What one asks of Unicode's tables (unicode_tables.h): which kind of character it is, what it is
// made of, its lower case. Each is Hugging Face's answer, whatever today's Unicode says.
#pragma once

#include <string>
#include <string_view>

#include "text/unicode_tables.h"

namespace breakeven::text {

// The upper end of the gap U+2B820..U+2B91F, which Unicode's CJK extension E fills and Hugging
// Face's test leaves out. A corrected peer would say 0x2B820.
inline constexpr char32_t kCjkExtensionEStart = 0x2B920;

bool is_control(char32_t c);  // categories Cc, Cf, Co
bool is_whitespace(char32_t c);
bool is_nonspacing_mark(char32_t c);  // category Mn, of Unicode 8.0
bool is_mark(char32_t c);             // Mn, Mc and Me, of Unicode 9.0
bool is_punctuation(char32_t c);      // all 32 of ASCII's, and category P beyond
bool is_cjk(char32_t c);
bool is_word(char32_t c);    // \w of a regular expression: letters, digits, marks, connectors
bool is_letter(char32_t c);  // \p{L}
bool is_number(char32_t c);  // \p{N}
unsigned combining_class(char32_t c);
bool is_hangul_syllable(char32_t c);
// Of a Hangul syllable: that of its last jamo.
tables::Cluster cluster_kind(char32_t c);

// Appends the canonical decomposition of one code point.
void append_decomposed(char32_t c, std::u32string& out);
// Canonical ordering of the whole text: every run of code points with a class is sorted by it.
// `sorting` is memory to use again.
void order_marks(std::u32string& text, std::u32string& sorting);
// Canonical composition of the whole text, which is decomposed and ordered.
void compose(std::u32string& text);
// Appends the lower case of one code point: one, or two (only of U+0130).
void append_lowercase(char32_t c, std::u32string& out);

}  // namespace breakeven::text
