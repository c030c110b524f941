// What RoBERTa's kin share: BERT's body with positions that count from the row behind <pad>'s, and
// a head of two layers.
#pragma once

#include "model/architectures/bert_body.h"

namespace breakeven::model {

// Errors: config/field, config/unsupported.
Result<void> read_roberta(const JsonObject& config, EncoderPlan& plan);
// All tensors; those of the body are "roberta.*" in each of the classes.
ops::EncoderWeights view_roberta(const EncoderPlan& plan, Tensors& tensors);

}  // namespace breakeven::model
