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
  // BERT's classes of HF take the three normaliser flags from here (or their own defaults, which
  // are these) and ignore what tokenizer.json says; RoBERTa's takes add_prefix_space (default:
  // false); the others run tokenizer.json.
  enum class Class : std::uint8_t { generic, bert, roberta, xlm_roberta, camembert, deberta_v2 };
  Class tokenizer_class = Class::generic;
  bool is(Class wanted) const { return tokenizer_class == wanted; }
  bool has_roberta_tokens() const {
    return is(Class::roberta) || is(Class::xlm_roberta) || is(Class::camembert);
  }
  bool add_prefix_space = false;
  bool do_lower_case = true;    // of DeBERTa-v2: where the pieces are SentencePiece's, else false
  bool split_by_punct = false;  // the same
  std::optional<bool> strip_accents;  // nothing: follows do_lower_case
  bool tokenize_chinese_chars = true;
  bool model_takes_types = true;      // token_type_ids are among its model_input_names
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
