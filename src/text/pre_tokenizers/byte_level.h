// ByteLevel, as GPT-2 and RoBERTa have it: words by GPT-2's pattern, each with the blank before it.
// The model gets the UTF-8 bytes themselves; that Hugging Face writes each of them as a printable
// character concerns only how a vocabulary spells its entries (models/bpe.h).
#pragma once

#include "text/pre_tokenizers/pre_tokenizer.h"

namespace breakeven::text {

class ByteLevel final : public PreTokenizer {
 public:
  struct Flags {
    bool add_prefix_space = true;  // a blank before a text that does not start with one
    bool use_regex = true;         // else the whole text is one word
  };

  explicit ByteLevel(const Flags& wanted) : flags(wanted) {}
  std::u32string_view prepare(std::u32string_view text, bool starts_text,
                              PreTokenizerBuffers& buffers) const override;
  std::size_t next_word(std::u32string_view text, std::size_t& at,
                        std::string& word) const override;

  Flags flags;
};

Result<std::unique_ptr<PreTokenizer>> read_byte_level(const JsonObject& object);

}  // namespace breakeven::text
