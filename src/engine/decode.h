// Logits -> scores and the label that wins, as Hugging Face's text-classification pipeline has
// them.
#pragma once

#include <cstdint>
#include <span>

#include "classifier/classifier.h"

namespace breakeven::engine {

// logits, scores: [C] of one text, C >= 1.
void score(std::span<const float> logits, ScoreFunction function, std::span<float> scores);

struct Decoded {
  std::uint32_t label = 0;  // index of the highest score; the first of equal ones
  float score = 0;
};

// logits: [C] of one text, C >= 1.
Decoded decode(std::span<const float> logits, ScoreFunction function);

// All texts: logits [B, C], labels and scores [B].
void decode_all(std::span<const float> logits, ScoreFunction function,
                std::span<std::uint32_t> labels, std::span<float> scores);

}  // namespace breakeven::engine
