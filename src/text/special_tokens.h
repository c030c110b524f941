// Special tokens as Hugging Face's small files name them: by role, or as further ones. The names
// are those of Transformers 4 and 5.
#pragma once

#include <array>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/added_tokens.h"

namespace breakeven::text {

struct SpecialTokens {
  // In the order in which Hugging Face gives ids to those that the vocabulary has not.
  enum Role : std::size_t { bos, eos, unk, sep, pad, cls, mask };
  static constexpr std::size_t kRoles = mask + 1;
  enum class Named : std::uint8_t { no, by_class, by_file };
  struct Token {
    AddedToken token;
    Named named = Named::no;
    bool has_flags = false;  // the file gives the token's flags, too
  };

  std::array<Token, kRoles> roles;
  std::vector<Token> further;
};

// What BERT's and RoBERTa's classes have where no file names others: [UNK], [SEP], [PAD], [CLS],
// [MASK]; <s>, </s>, <unk>, <pad>, <mask>.
SpecialTokens bert_special_tokens();
SpecialTokens roberta_special_tokens();
// BERT's, with [CLS] and [SEP] at the ends of a text, too.
SpecialTokens deberta_special_tokens();
// Of CamemBERT's class beside RoBERTa's: <s>NOTUSED, </s>NOTUSED, <unk>NOTUSED.
std::vector<SpecialTokens::Token> camembert_further_tokens();

// The roles, additional_special_tokens, extra_special_tokens (list or object) and
// model_specific_special_tokens of tokenizer_config.json or special_tokens_map.json into `tokens`.
// A role that the file gives replaces the one that is there, null takes it away. `special`: what
// tokens are that do not say it. Errors: tokenizer/json.
Result<void> read_special_tokens(const JsonObject& file, bool special, SpecialTokens& tokens);

}  // namespace breakeven::text
