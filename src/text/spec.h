// A tokenizer as its files describe it, checked and with every default filled in. Tokenizer
// is built from one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/normalizer.h"
#include "text/tokenizer.h"

namespace breakeven::text {

// A token that is looked for in the text itself, before WordPiece sees the rest.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool lstrip = false, rstrip = false;  // takes the whitespace on its left, right along
  bool normalized = false;              // looked for in the normalised text instead of the raw one
};

// One step of a template: special ids, or one of the two texts.
struct TemplateStep {
  enum class Kind : std::uint8_t { special, first_text, second_text };
  Kind kind = Kind::special;
  std::vector<std::int32_t> ids;  // of a special step
  std::int32_t token_type = 0;
};
using Template = std::vector<TemplateStep>;

// [CLS] A [SEP], and for a pair B [SEP] of token type 1 behind it.
Template bert_template(std::int32_t cls, std::int32_t sep, bool pair);

inline std::size_t special_ids(const Template& steps) {
  std::size_t count = 0;
  for (const TemplateStep& step : steps) count += step.ids.size();
  return count;
}

struct TokenizerSpec {
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;  // entry, id; no entry twice
  std::vector<AddedToken> added;
  NormalizerFlags normalizer;
  std::string unknown_token = "[UNK]";
  std::string continuing_prefix = "##";
  std::size_t max_chars_per_word = 100;
  Template single, pair;
  TokenizerInfo info;
};

// The part of Tokenizer::load that reads files.
Result<TokenizerSpec> read_tokenizer_spec(const std::string& folder);

}  // namespace breakeven::text
