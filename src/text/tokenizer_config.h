// The small files beside a vocabulary, as far as they decide about ids: tokenizer_config.json,
// special_tokens_map.json, added_tokens.json, and config.json for the class. All are optional.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

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
  bool split_special_tokens = false;  // special tokens in a text are text
  std::optional<std::size_t> model_max_length;
  std::optional<TruncationSide> truncation_side;
  SpecialTokens special;
  bool has_decoder = false;       // added_tokens_decoder, which replaces the two older files
  std::vector<AddedToken> added;  // with the ids that the files give, in their order
};

// `folder` is a model's. Errors: tokenizer/json, tokenizer/unsupported.
Result<TokenizerConfig> read_tokenizer_config(const std::string& folder, bool has_tokenizer_json);

}  // namespace breakeven::text
