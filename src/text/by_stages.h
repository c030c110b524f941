// The tokenizer by its definition: added tokens, normalise, added tokens again, split into words,
// words into ids, one after the other over the whole text. Right for every tokenizer; one_pass.h is
// compared with it.
#pragma once

#include <string>
#include <string_view>

#include "text/id_sink.h"
#include "text/spec.h"
#include "text/token_matcher.h"

namespace breakeven::text {

class ByStages {
 public:
  struct Buffers {
    std::u32string code_points, normalized;
    PreTokenizerBuffers pre_tokenizer;
    NormalizerBuffers normalizer;
    std::string word;
    ModelBuffers model;
  };

  ByStages(const TokenizerSpec& spec, const PieceModel& model);  // both must outlive it

  void encode(std::string_view text, Buffers& buffers, IdSink& sink) const;
  // What encode() does between the added tokens of the raw text.
  void encode_segment(std::u32string_view segment, bool starts_text, Buffers& buffers,
                      IdSink& sink) const;

 private:
  using Matcher = TokenMatcher<char32_t>;
  void split_to_ids(std::u32string_view normalized, bool starts_text, Buffers& buffers,
                    IdSink& sink) const;

  const TokenizerSpec& spec_;
  const PieceModel& model_;
  Matcher in_raw_text_, in_normalized_text_;
};

}  // namespace breakeven::text
