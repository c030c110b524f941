// BertPreTokenizer: split at whitespace; every punctuation character is a word of its own.
#pragma once

#include "text/pre_tokenizers/pre_tokenizer.h"

namespace breakeven::text {

class BertPreTokenizer final : public PreTokenizer {
 public:
  std::size_t next_word(std::u32string_view text, std::size_t& at,
                        std::string& word) const override;
};

}  // namespace breakeven::text
