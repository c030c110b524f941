// A model directory: config.json, weights (safetensors or pytorch_model.bin; one file, or shards
// with their index), tokenizer files.
#pragma once

#include <future>
#include <string>
#include <vector>

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
  // What a user must know of how it was read: tensors that are not used, names that were changed,
  // and those of the plan.
  std::vector<std::string> notes{};
  // Whether its weights are safetensors under names that every loader knows.
  bool plain = true;

  // SHA-256 over config and weights, hex: names this model in records and caches.
  std::string content_hash() const { return lazy_hash.get(); }
};

// Loads and checks everything. F32 tensors are views into the mapped files (which must not be
// changed while they are used), F16, BF16 and F64 are converted. Names are taken as Transformers
// takes them: LayerNorm.gamma/beta for weight/bias, and with or without the body's name in front
// ("bert."); parts that wrappers put in (_orig_mod., module.) are taken off. Tensors that the
// architecture does not have are left out. Errors: those of parse_plan and open_weights, and
// model/missing, model/not-a-folder, model/no-config, weights/missing, weights/unexpected (one
// tensor under two names), weights/shape, weights/dtype, weights/not-finite.
Result<Checkpoint> load_checkpoint(const std::string& folder);

}  // namespace breakeven::model
