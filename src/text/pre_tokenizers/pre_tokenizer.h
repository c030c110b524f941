// How a normalised text is split into words. tokenizer.json names a kind, or a Sequence of kinds;
// each has a file of its own beside this one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace breakeven::text {

// Memory that prepare() uses again.
struct PreTokenizerBuffers {
  std::u32string prepared;
  std::string word;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // The text that next_word() reads: `text`, or a changed copy of it in `buffers`. `starts_text`:
  // nothing stands before it, no added token and no white space that one took along.
  virtual std::u32string_view prepare(std::u32string_view text, bool /*starts_text*/,
                                      PreTokenizerBuffers& /*buffers*/) const {
    return text;
  }
  // Reads the next word of `text` from `at` on and moves `at` after it: replaces `word` by what
  // the model gets, in UTF-8, and returns its code points; 0 at the end of the text.
  virtual std::size_t next_word(std::u32string_view text, std::size_t& at,
                                std::string& word) const = 0;
};

// The part "pre_tokenizer" of tokenizer.json. Errors: tokenizer/json, tokenizer/unsupported.
Result<std::unique_ptr<PreTokenizer>> read_pre_tokenizer(const JsonObject& root);

}  // namespace breakeven::text
