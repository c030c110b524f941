// Which files of a model's folder hold its weights.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/safetensors.h"

namespace breakeven::model {

// The weights of a model folder: model.safetensors or, without one, the shards that
// model.safetensors.index.json names, in the order of their names. Errors: model/no-weights,
// model/pickle-only (only pytorch_model.bin is there), those above, and for the index: index/json,
// index/field, index/path (a shard outside the folder), index/shard-missing, index/duplicate (a
// tensor in two shards), index/disagrees (a tensor is not where the index says).
Result<std::vector<SafetensorsFile>> open_weights(const std::string& folder);

}  // namespace breakeven::model
