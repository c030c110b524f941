// Small encoders with random weights, for tests of the backends: no file, any shape.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "base/check.h"
#include "ops/ops.h"

namespace breakeven::testing {

struct EncoderShape {
  std::size_t hidden = 32;
  std::size_t heads = 4;
  std::size_t intermediate = 48;
  std::size_t vocabulary = 50;
  std::size_t positions = 24;
  std::size_t token_types = 0;
  std::size_t layers = 2;
  std::size_t labels = 3;
  std::int32_t uncounted_id = -1;
  std::size_t embedding = 0;           // 0: hidden
  ops::RelativeDistances distances{};  // of span 0: positions are learned
  ops::EncoderForm form{};             // but for position, where there are distances
  std::size_t window = 0;              // of every layer but the first, the fourth ...
  bool biases = true;                  // of matrices and norms; the classifier has one
  float gain = 1.5F;                   // of matrices: about how large outputs are of inputs of 1
  ops::Activation activation = ops::Activation::gelu_erf;
  ops::Activation head_activation = ops::Activation::relu;
};

// Owns the weights of one encoder; `weights` is a view of them. Two encoders of one shape and seed
// are equal.
class RandomEncoder {
 public:
  explicit RandomEncoder(const EncoderShape& shape, std::uint32_t seed = 1) : random_(seed) {
    weights.hidden = shape.hidden;
    weights.heads = shape.heads;
    weights.intermediate = shape.intermediate;
    weights.vocabulary = shape.vocabulary;
    weights.positions = shape.positions;
    weights.labels = shape.labels;
    weights.activation = shape.activation;
    const std::size_t width = shape.embedding == 0 ? shape.hidden : shape.embedding;
    weights.embedding.word = values(shape.vocabulary * width, 0.0F, 1.0F);
    biases_ = shape.biases;
    gain_ = shape.gain;
    weights.form = shape.form;
    const bool rotary = shape.form.position == ops::EncoderForm::Position::rotary;
    const bool pre_norm = shape.form.norm == ops::EncoderForm::Norm::pre;
    const bool gated = shape.form.ffn == ops::EncoderForm::Ffn::gated;
    if (rotary) {
      BREAKEVEN_CHECK(shape.distances.span == 0, "rotary and relative");
    } else if (shape.distances.span == 0) {
      weights.embedding.position = values(shape.positions * width, 0.0F, 0.5F);
    } else {
      weights.form.position = ops::EncoderForm::Position::relative;
      weights.relative.distances = shape.distances;
      weights.relative.table = values(2 * shape.distances.span * shape.hidden, 0.0F, 1.0F);
      weights.relative.norm = norm(shape.hidden);
    }
    weights.embedding.token_type = values(shape.token_types * width, 0.0F, 0.5F);
    weights.embedding.uncounted_id = shape.uncounted_id;
    weights.embedding.norm = norm(width);
    if (shape.embedding != 0) weights.embedding.project = linear(shape.hidden, width);
    for (std::size_t l = 0; l < shape.layers; ++l) {
      ops::LayerWeights layer;
      for (ops::LinearWeights* part : {&layer.query, &layer.key, &layer.value, &layer.project}) {
        *part = linear(shape.hidden, shape.hidden);
      }
      // As ModernBERT: the embeddings' norm is the first layer's.
      if (!pre_norm || l > 0) layer.attention_norm = norm(shape.hidden);
      if (l % 3 != 0) layer.window = shape.window;
      if (rotary) layer.theta = l % 3 == 0 ? 1000 : 100;
      layer.up = linear((gated ? 2 : 1) * shape.intermediate, shape.hidden);
      layer.down = linear(shape.hidden, shape.intermediate);
      layer.ffn_norm = norm(shape.hidden);
      weights.layers.push_back(layer);
    }
    if (pre_norm) weights.final_norm = norm(shape.hidden);
    weights.head.dense = linear(shape.hidden, shape.hidden);
    weights.head.activation = shape.head_activation;
    if (pre_norm) weights.head.norm = norm(shape.hidden);
    biases_ = true;
    weights.head.classifier = linear(shape.labels, shape.hidden);
  }
  RandomEncoder(const RandomEncoder&) = delete;
  RandomEncoder& operator=(const RandomEncoder&) = delete;

  ops::EncoderWeights weights;

 private:
  std::vector<float>& values(std::size_t count, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float>& made = storage_.emplace_back(count);
    for (float& value : made) value = normal(random_);
    return made;
  }
  ops::NormWeights norm(std::size_t hidden) {
    ops::NormWeights made;
    made.gamma = values(hidden, 1.0F, 0.2F);
    if (biases_) made.beta = values(hidden, 0.0F, 0.2F);
    return made;
  }
  ops::LinearWeights linear(std::size_t out, std::size_t in) {
    ops::LinearWeights made;
    made.out = out;
    made.in = in;
    // About the scale at which softmax and GELU are neither flat nor saturated.
    made.weight = values(out * in, 0.0F, gain_ / std::sqrt(static_cast<float>(in)));
    if (biases_) made.bias = values(out, 0.0F, 0.3F);
    return made;
  }

  std::mt19937 random_;
  bool biases_ = true;
  float gain_ = 1.5F;
  std::deque<std::vector<float>> storage_;  // a deque: growing it moves no vector
};

// A group of sequences and the memory behind its spans. rows[b] >= valid[b]: the rest is padding.
// Where an id is not counted, every seventh token is it.
class RandomBatch {
 public:
  struct Sequence {
    std::size_t valid;
    std::size_t rows;
  };
  RandomBatch(const EncoderShape& shape, const std::vector<Sequence>& sequences,
              std::uint32_t seed = 2) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<std::int32_t> id(1,
                                                   static_cast<std::int32_t>(shape.vocabulary) - 1);
    cu_seqlens = {0};
    for (const Sequence& sequence : sequences) {
      for (std::size_t s = 0; s < sequence.rows; ++s) {
        ids.push_back(s < sequence.valid ? id(random) : std::max(shape.uncounted_id, 0));
        if (shape.uncounted_id >= 0 && ids.size() % 7 == 0) ids.back() = shape.uncounted_id;
        if (shape.token_types > 0) {
          token_types.push_back(s < sequence.valid && 2 * s >= sequence.valid ? 1 : 0);
        }
      }
      valid_len.push_back(static_cast<std::int32_t>(sequence.valid));
      cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
    }
  }
  ops::Batch batch() const { return {ids, token_types, cu_seqlens, valid_len}; }

  std::vector<std::int32_t> ids, token_types, cu_seqlens, valid_len;
};

}  // namespace breakeven::testing
