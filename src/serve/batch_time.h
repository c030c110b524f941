// How long a batch will take on one lane: decide's model t = a + b·Σs + c·Σs², refitted while the
// lane works, and how far it may be off. Pure: whoever runs batches tells what they took.
#pragma once

#include <cstddef>
#include <vector>

#include "decide/latency_model.h"

namespace breakeven::serve {

class BatchTime {
 public:
  // `anchors`: batches of very different sizes, measured before anybody waits. They stay in the
  // fit, scaled to what the lane takes now: traffic of one size alone says nothing about another
  // size. At least one.
  explicit BatchTime(std::vector<decide::Point> anchors);

  // The expected time of a batch; > 0.
  double seconds(const decide::Shape& shape) const;
  // What 19 of 20 of the last batches did not exceed: what a promise is made by.
  double safe_seconds(const decide::Shape& shape) const { return safety_ * seconds(shape); }

  // Returns whether the model changed.
  bool observe(const decide::Shape& shape, double seconds);

  double safety() const { return safety_; }  // >= 1
  const decide::LatencyModel& model() const { return model_; }

 private:
  void refit();

  std::vector<decide::Point> anchors_;
  decide::LatencyModel first_, model_;  // of the anchors alone; of what is known now
  std::vector<decide::Point> recent_;   // a ring
  std::vector<double> ratios_;          // of the same batches: what they took ÷ what was expected
  std::size_t next_ = 0;                // place in the ring
  std::size_t unfitted_ = 0;
  double safety_ = 1;
};

// Tokens that a text will have, from its bytes: texts are admitted before they are tokenised.
// Learns from the texts that were.
class TokensOfBytes {
 public:
  explicit TokensOfBytes(std::size_t max_length) : max_length_(static_cast<double>(max_length)) {}
  // 2 to max_length.
  std::uint32_t estimate(std::size_t bytes) const;
  // A text that was not cut.
  void observe(std::size_t bytes, std::size_t tokens);

 private:
  double max_length_;
  double per_byte_ = 0.25;  // English in WordPiece
};

}  // namespace breakeven::serve
