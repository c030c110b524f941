// What a classifier's logits and scores mean.
#pragma once

#include <cstdint>

namespace breakeven {

// What it was trained to say. Hugging Face's problem_type, with "auto" resolved: what counts as
// another answer follows from it.
enum class ProblemType : std::uint8_t {
  single_label,  // one of the labels
  multi_label,   // each label by itself, by the sign of its logit
  regression,    // values
};

// What makes scores of logits, by the names of Hugging Face's function_to_apply.
enum class ScoreFunction : std::uint8_t {
  softmax,  // over the labels of a text
  sigmoid,  // of each label
  none,     // the logits are the scores
};

}  // namespace breakeven
