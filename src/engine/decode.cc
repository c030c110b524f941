#include "engine/decode.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace breakeven::engine {
namespace {

// The scores of one text, each computed when it is asked for: nothing is allocated.
class Scores {
 public:
  Scores(std::span<const float> logits, ScoreFunction function)
      : logits_(logits), function_(function) {
    BREAKEVEN_CHECK(!logits.empty());
    if (function != ScoreFunction::softmax) return;
    // The highest becomes exp(0): nothing can overflow.
    highest_ = *std::max_element(logits.begin(), logits.end());
    for (const float logit : logits) sum_ += std::exp(logit - highest_);
  }

  float operator[](std::size_t label) const {
    const float logit = logits_[label];
    switch (function_) {
      case ScoreFunction::softmax:
        return std::exp(logit - highest_) / sum_;
      case ScoreFunction::sigmoid:
        return 1.0F / (1.0F + std::exp(-logit));
      case ScoreFunction::none:
        break;
    }
    return logit;
  }

 private:
  std::span<const float> logits_;
  ScoreFunction function_;
  float highest_ = 0;
  float sum_ = 0;
};

}  // namespace

void score(std::span<const float> logits, ScoreFunction function, std::span<float> scores) {
  const Scores all(logits, function);
  for (std::size_t label = 0; label < logits.size(); ++label) scores[label] = all[label];
}

Decoded decode(std::span<const float> logits, ScoreFunction function) {
  const Scores all(logits, function);
  Decoded best{0, all[0]};
  for (std::size_t label = 1; label < logits.size(); ++label) {
    const float each = all[label];
    if (each > best.score) best = {static_cast<std::uint32_t>(label), each};
  }
  return best;
}

void decode_all(std::span<const float> logits, ScoreFunction function,
                std::span<std::uint32_t> labels, std::span<float> scores) {
  const std::size_t classes = labels.empty() ? 0 : logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const Decoded decoded = decode(logits.subspan(i * classes, classes), function);
    labels[i] = decoded.label;
    scores[i] = decoded.score;
  }
}

}  // namespace breakeven::engine
