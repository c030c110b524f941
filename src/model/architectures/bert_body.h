// What BERT's kin share: its fields, and its tensors under the name of the body ("bert",
// "roberta").
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/architectures/architecture.h"

namespace breakeven::model {

// Layer i's tensors: `name` is "bert.encoder.layer.i." and `suffix` what query, key and value end
// in.
ops::LayerWeights bert_layer(const std::string& name, std::string_view suffix,
                             const EncoderPlan& plan, Tensors& tensors);

// Token types, epsilon and activation. Errors: config/field, config/unsupported.
Result<void> read_bert_body(const JsonObject& config, EncoderPlan& plan);

// Embeddings and layers; the head is the caller's. `first_position`: rows of the position table
// before the first token's.
ops::EncoderWeights bert_body(std::string_view body, const EncoderPlan& plan, Tensors& tensors,
                              std::size_t first_position = 0);

}  // namespace breakeven::model
