// A model directory: config.json, safetensors (one file, or shards with
// model.safetensors.index.json), tokenizer files.
#pragma once

#include <string>

#include "base/result.h"
#include "model/plan.h"
#include "model/weights.h"

namespace breakeven::model {

struct Checkpoint {
  EncoderPlan plan;
  ModelWeights weights;
  std::string
      content_hash;  // SHA-256 over config and weights, hex: names this model in records and caches
};

// Loads and checks everything. Errors: those of parse_plan and of safetensors.h, and
// model/no-config, model/no-weights, model/pickle-only (pytorch_model.bin without safetensors),
// weights/missing, weights/unexpected, weights/shape, weights/dtype, weights/not-finite.
Result<Checkpoint> load_checkpoint(const std::string& folder);

}  // namespace breakeven::model
