#include "text/pre_tokenizers/by_character.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/unicode.h"

namespace breakeven::text {

CharClass whitespace_split(char32_t c) {
  return is_whitespace(c) ? CharClass::blank : CharClass::word;
}

CharClass isolate_punctuation(char32_t c) {
  return is_punctuation(c) ? CharClass::alone : CharClass::word;
}

CharClass split_words_from_others(char32_t c) {
  if (is_whitespace(c)) return CharClass::blank;
  return is_word(c) ? CharClass::word : CharClass::other;
}

std::size_t ByCharacter::next_word(std::u32string_view text, std::size_t& at,
                                   std::string& word) const {
  const auto is = [this](char32_t c, CharClass wanted) {
    return std::any_of(splitters_.begin(), splitters_.end(),
                       [&](Splitter splitter) { return splitter(c) == wanted; });
  };
  const auto alike = [this](char32_t a, char32_t b) {
    return std::all_of(splitters_.begin(), splitters_.end(),
                       [&](Splitter splitter) { return splitter(a) == splitter(b); });
  };
  while (at < text.size() && is(text[at], CharClass::blank)) ++at;
  word.clear();
  std::size_t chars = 0;
  for (; at < text.size(); ++at, ++chars) {
    if (chars > 0 && (is(text[at], CharClass::alone) || !alike(text[at - 1], text[at]))) break;
    append_utf8(text[at], word);
  }
  return chars;
}

}  // namespace breakeven::text
