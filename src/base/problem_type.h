// What a classifier's score means. Hugging Face's problem_type, with "auto" resolved.
#pragma once

#include <cstdint>

namespace breakeven {

enum class ProblemType : std::uint8_t {
  single_label,  // softmax over the labels; label = argmax, score = its probability
  multi_label,   // sigmoid of each label; label = the highest one, score = its probability
  regression,    // the value itself
};

}  // namespace breakeven
