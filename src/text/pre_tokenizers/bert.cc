#include "text/pre_tokenizers/bert.h"

#include "base/utf8.h"
#include "text/unicode.h"

namespace breakeven::text {

std::size_t BertPreTokenizer::next_word(std::u32string_view text, std::size_t& at,
                                        std::string& word) const {
  word.clear();
  std::size_t chars = 0;
  for (; at < text.size(); ++at) {
    const char32_t c = text[at];
    const bool alone = is_punctuation(c);
    const bool blank = !alone && is_whitespace(c);
    if (chars > 0 && (alone || blank)) break;
    if (blank) continue;
    append_utf8(c, word);
    ++chars;
    if (!alone) continue;
    ++at;
    break;
  }
  return chars;
}

}  // namespace breakeven::text
