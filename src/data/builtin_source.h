// The built-in reviews (data/reviews.jsonl, embedded into the program) and the texts made of them.
//
// Text i is made of whole originals of one label, joined until it has about as many tokens as the
// share u(i) of IMDB's reviews has at most. u runs through a low-discrepancy sequence, so that
// every prefix follows IMDB's lengths: n = 10 as well as n = 10,000. Which originals, their order
// and the label come from the seed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace breakeven::data {

// One of the originals.
struct BuiltinReview {
  std::string text;
  bool positive = false;
  std::size_t tokens = 0;  // estimate_tokens(text)
};
const std::vector<BuiltinReview>& builtin_reviews();

// As many as IMDB has: more texts than this are not made of them.
inline constexpr std::size_t kBuiltinTexts = 50'000;

std::unique_ptr<Source> make_builtin_source(const SourceOptions& options);

// Roughly the tokens that an uncased WordPiece vocabulary of 30,522 words makes of an English
// review, [CLS] and [SEP] not counted: words and punctuation marks, 3 % of the words fall into
// pieces.
std::size_t estimate_tokens(std::string_view text);

// The length in tokens, [CLS] and [SEP] included, that the share `share` of IMDB's reviews does not
// exceed. 0 <= share <= 1.
double imdb_tokens(double share);

}  // namespace breakeven::data
