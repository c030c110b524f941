// Metaspace, as SentencePiece has it: a blank is a character of its own look, U+2581 "▁", and
// starts a word.
#pragma once

#include <memory>

#include "text/pre_tokenizers/pre_tokenizer.h"

namespace breakeven::text {

class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend : std::uint8_t { always, first, never };
  struct Flags {
    char32_t replacement = U'\u2581';
    Prepend prepend = Prepend::always;  // a blank before what does not start with one
    bool split = true;                  // at every blank; else what was split before stays whole
  };

  // `before` splits first, and each of its words then starts with a blank; null: nothing does.
  Metaspace(const Flags& wanted, std::unique_ptr<PreTokenizer> before)
      : flags(wanted), before_(std::move(before)) {}
  std::u32string_view prepare(std::u32string_view text, bool starts_text,
                              PreTokenizerBuffers& buffers) const override;
  std::size_t next_word(std::u32string_view text, std::size_t& at,
                        std::string& word) const override;
  const PreTokenizer* before() const { return before_.get(); }

  const Flags flags;

 private:
  std::unique_ptr<PreTokenizer> before_;
};

// `before` as above. Errors: tokenizer/json, tokenizer/unsupported.
Result<std::unique_ptr<PreTokenizer>> read_metaspace(const JsonObject& object,
                                                     std::unique_ptr<PreTokenizer> before);

}  // namespace breakeven::text
