// What BERT's kin share: its fields, and its tensors under the name of the body ("bert",
// "roberta").
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/architectures/architecture.h"

namespace breakeven::model {

// Token types, epsilon and activation. Errors: config/field, config/unsupported.
Result<void> read_bert_body(const JsonObject& config, EncoderPlan& plan);

// Embeddings and layers; the head is the caller's. `first_position`: rows of the position table
// before the first token's.
ops::EncoderWeights bert_body(std::string_view body, const EncoderPlan& plan, Tensors& tensors,
                              std::size_t first_position = 0);

}  // namespace breakeven::model
