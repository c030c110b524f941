#include "engine/decode.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace breakeven::engine {

Decoded decode(std::span<const float> logits, ProblemType problem) {
  BREAKEVEN_CHECK(!logits.empty());
  if (problem == ProblemType::regression) return {0, logits[0]};
  const auto highest = std::max_element(logits.begin(), logits.end());
  const auto label = static_cast<std::uint32_t>(highest - logits.begin());
  if (problem == ProblemType::multi_label) return {label, 1.0F / (1.0F + std::exp(-*highest))};
  // Softmax of the highest: exp(0) / sum of exp(x - highest), which cannot overflow.
  float sum = 0;
  for (const float logit : logits) sum += std::exp(logit - *highest);
  return {label, 1.0F / sum};
}

void decode_all(std::span<const float> logits, ProblemType problem, std::span<std::uint32_t> labels,
                std::span<float> scores) {
  const std::size_t classes = labels.empty() ? 0 : logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const Decoded decoded = decode(logits.subspan(i * classes, classes), problem);
    labels[i] = decoded.label;
    scores[i] = decoded.score;
  }
}

}  // namespace breakeven::engine
