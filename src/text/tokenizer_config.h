// tokenizer_config.json, as far as it decides about ids: it is small, optional, and shared by both
// kinds of vocabulary file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/spec.h"

namespace breakeven::text {

struct TokenizerConfig {
  // A BERT class of HF takes the three normaliser flags from here (or its own defaults, which are
  // these) and ignores what tokenizer.json says; the generic class does the opposite.
  bool bert_class = false;
  // RoBERTa's class takes this one from here (default: false) over tokenizer.json's.
  bool roberta_class = false;
  bool add_prefix_space = false;
  bool do_lower_case = true;
  std::optional<bool> strip_accents;  // nothing: follows do_lower_case
  bool tokenize_chinese_chars = true;
  std::optional<std::size_t> model_max_length;
  std::optional<TruncationSide> truncation_side;
  // Tokens by role; `named` where the file (or a BERT class's default) names them.
  struct Special {
    AddedToken token;
    bool named = false;
  };
  Special unk, cls, sep, pad, mask;
  std::vector<AddedToken> added;  // added_tokens_decoder, with the ids that the file gives
};

// Reads tokenizer_config.json of `folder`, and model_type of its config.json where the former names
// no class. Both may be missing. Errors: tokenizer/json, tokenizer/unsupported.
Result<TokenizerConfig> read_tokenizer_config(const std::string& folder);

}  // namespace breakeven::text
