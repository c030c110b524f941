// Logits -> label and score, by what the model's labels mean.
#pragma once

#include <cstdint>
#include <span>

#include "classifier/classifier.h"

namespace breakeven::engine {

struct Decoded {
  std::uint32_t label = 0;  // index; the first of equal ones; 0 for regression
  float score = 0;          // softmax probability, sigmoid, or the value itself
};

// logits: [C] of one text, C >= 1.
Decoded decode(std::span<const float> logits, ProblemType problem);

// All texts: logits [B, C], labels and scores [B].
void decode_all(std::span<const float> logits, ProblemType problem, std::span<std::uint32_t> labels,
                std::span<float> scores);

}  // namespace breakeven::engine
