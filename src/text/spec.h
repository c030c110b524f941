// A tokenizer as its files describe it, checked and with every default filled in: the sum of its
// four parts (normalizers/, pre_tokenizers/, models/, processors/), the tokens that are looked for
// beside them, and what the files say about lengths. Tokenizer is built from one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/added_tokens.h"
#include "text/models/piece_model.h"
#include "text/normalizers/normalizer.h"
#include "text/pre_tokenizers/pre_tokenizer.h"
#include "text/processors/processor.h"
#include "text/tokenizer.h"

namespace breakeven::text {

struct TokenizerSpec {
  std::unique_ptr<Normalizer> normalizer;
  std::string normalizer_type;  // of tokenizer.json's "normalizer"; "" where it has none
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  ModelSpec model;
  Processor processor;
  std::vector<AddedToken> added;
  std::string padding_token;  // tokenizer.json's "padding" names it; "" where it has none
  TokenizerInfo info;
};

// The part of Tokenizer::load that reads files.
Result<TokenizerSpec> read_tokenizer_spec(const std::string& folder, std::size_t rows);

}  // namespace breakeven::text
