// EncoderPlan: everything that distinguishes one classifier from another, as data read from
// config.json. BERT, DistilBERT, RoBERTa's kin, ELECTRA, DeBERTa and ModernBERT differ only here;
// the forward pass branches on nothing else. What a backend cannot compute it refuses by `form` and
// sizes, in pack().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem_type.h"
#include "base/result.h"
#include "ops/ops.h"

namespace breakeven::model {

struct Architecture;  // model/architectures/architecture.h

// Far above every encoder there is, and low enough that no product of two of them overflows.
inline constexpr std::uint64_t kMostHidden = 1U << 16U;

// Whether the matrices and norms of a part have biases.
struct Biases {
  bool attention = true, ffn = true, norm = true, head = true;
};
// What one layer's attention has of its own, as ops::LayerWeights.
struct LayerScope {
  std::size_t window = 0;
  double theta = 0;
};

struct EncoderPlan {
  const Architecture* architecture = nullptr;
  std::size_t hidden = 0;            // H
  std::size_t heads = 0;             // N; divides H
  std::size_t embedding = 0;         // E, where embeddings are projected to H; 0: they are of H
  std::size_t intermediate = 0;      // F
  std::size_t vocabulary = 0;        // V
  std::size_t positions = 0;         // the longest sequence
  std::size_t token_types = 0;       // 0 for DistilBERT
  std::size_t layers = 0;            // L
  ops::EncoderForm form;             // where norms stand, what positions are, ...
  ops::RelativeDistances distances;  // where positions are relative
  bool distances_normed = false;     // by a LayerNorm of their own
  std::vector<LayerScope> scopes;    // [L] where positions are rotary, else empty
  Biases biases;
  float norm_eps = 1e-12F;
  ops::Activation activation = ops::Activation::gelu_erf;   // FFN
  ops::Activation head_activation = ops::Activation::relu;  // relu: DistilBERT, tanh: BERT's pooler
  ProblemType problem = ProblemType::single_label;
  ScoreFunction score = ScoreFunction::softmax;
  std::vector<std::string> labels;  // by index; C = labels.size()
  std::int32_t pad_id = 0;
  std::vector<std::string> notes;  // where config.json was not taken at its word, for the user
};

// Reads config.json's text as Transformers 5 does: model_type decides what it is, num_labels beats
// an id2label of another length, and NaN and Infinity may stand in it. `where` names the file in
// errors. Every refusal names the field, its value, and what can run the model instead. Errors:
// config/json, config/architecture, config/field, config/unsupported.
Result<EncoderPlan> parse_plan(std::string_view json, const std::string& where);

}  // namespace breakeven::model
