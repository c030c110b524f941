// The splitters that look at one code point at a time: what it is says whether it ends a word,
// stands alone or goes on with a word of its like.
#pragma once

#include <span>
#include <vector>

#include "text/pre_tokenizers/pre_tokenizer.h"

namespace breakeven::text {

// What a splitter makes of a code point: a word is a run of one of the two kinds.
enum class CharClass : std::uint8_t { blank, alone, word, other };
using Splitter = CharClass (*)(char32_t c);

// WhitespaceSplit: at whitespace. Punctuation (isolated): every punctuation character is a word of
// its own, and blanks stay. Whitespace: at whitespace, and between \w and the rest.
CharClass whitespace_split(char32_t c);
CharClass isolate_punctuation(char32_t c);
CharClass split_words_from_others(char32_t c);

// Several splitters one after the other, in one pass: two neighbours stay together if each splitter
// leaves them so.
class ByCharacter final : public PreTokenizer {
 public:
  explicit ByCharacter(std::vector<Splitter> splitters) : splitters_(std::move(splitters)) {}
  std::size_t next_word(std::u32string_view text, std::size_t& at,
                        std::string& word) const override;
  bool is_whitespace_split() const {
    return splitters_.size() == 1 && splitters_.front() == whitespace_split;
  }

 private:
  std::vector<Splitter> splitters_;
};

}  // namespace breakeven::text
