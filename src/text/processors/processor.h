// What goes around the ids of a text: special tokens, the same for every text, and token types.
// tokenizer.json names a kind as its "post_processor", alone or in a Sequence; all that are known
// are templates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace breakeven::text {

// One step of a template: special ids, or one of the two texts.
struct TemplateStep {
  enum class Kind : std::uint8_t { special, first_text, second_text };
  Kind kind = Kind::special;
  std::vector<std::int32_t> ids;  // of a special step
  std::int32_t token_type = 0;
};
using Template = std::vector<TemplateStep>;

inline std::size_t special_ids(const Template& steps) {
  std::size_t count = 0;
  for (const TemplateStep& step : steps) count += step.ids.size();
  return count;
}

struct Processor {
  Template single, pair;
  // Token types of a pair's texts where no special ids are added.
  std::int32_t plain_first_type = 0, plain_second_type = 1;
};

// [CLS] A [SEP], and for a pair B [SEP] of token type 1 after it.
Processor bert_processor(std::int32_t cls, std::int32_t sep);
// <s> A </s>, and for a pair </s> B </s> after it; all token types are 0.
Processor roberta_processor(std::int32_t cls, std::int32_t sep);

// The part "post_processor" of tokenizer.json. Errors: tokenizer/json, tokenizer/unsupported.
Result<Processor> read_processor(const JsonObject& root);

}  // namespace breakeven::text
