// A model directory: config.json, safetensors (one file, or shards with
// model.safetensors.index.json), tokenizer files.
#pragma once

#include <future>
#include <string>

#include "base/result.h"
#include "model/plan.h"
#include "model/weights.h"

namespace breakeven::model {

struct Checkpoint {
  EncoderPlan plan;
  ModelWeights weights;
  // Made when it is first asked for: it reads all weights once more, and most commands need no
  // name.
  std::shared_future<std::string> lazy_hash;

  // SHA-256 over config and weights, hex: names this model in records and caches.
  std::string content_hash() const { return lazy_hash.get(); }
};

// Loads and checks everything. F32 tensors are views into the mapped files (which must not be
// changed while they are used), F16 and BF16 are converted. Beside the tensors of the plan only
// position_ids buffers may be there, and LayerNorm.gamma/beta are taken for weight/bias, as
// Transformers does. Errors: those of parse_plan and of safetensors.h, and model/missing,
// model/not-a-folder, model/no-config, weights/missing, weights/unexpected, weights/shape,
// weights/dtype, weights/not-finite.
Result<Checkpoint> load_checkpoint(const std::string& folder);

}  // namespace breakeven::model
