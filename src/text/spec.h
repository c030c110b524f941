// A tokenizer as its files describe it, checked and with every default filled in: the sum of its
// four parts (normalizers/, pre_tokenizers/, models/, processors/), the tokens that are looked for
// beside them, and what the files say about lengths. Tokenizer is built from one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/models/piece_model.h"
#include "text/normalizers/normalizer.h"
#include "text/pre_tokenizers/pre_tokenizer.h"
#include "text/processors/processor.h"
#include "text/tokenizer.h"

namespace breakeven::text {

// A token that is looked for in the text itself, before the model sees the rest.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool lstrip = false, rstrip = false;  // takes the whitespace on its left, right along
  bool normalized = false;              // looked for in the normalised text instead of the raw one
};

struct TokenizerSpec {
  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  ModelSpec model;
  Processor processor;
  std::vector<AddedToken> added;
  TokenizerInfo info;
};

// The part of Tokenizer::load that reads files.
Result<TokenizerSpec> read_tokenizer_spec(const std::string& folder);

}  // namespace breakeven::text
