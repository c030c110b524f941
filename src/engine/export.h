// The model as a folder that other runtimes can load.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/load.h"

namespace breakeven::engine {

// Where config.json, tokenizer and safetensors of exactly this model lie. That is the folder it
// came from, but where others could not read it there: the widened built-in model exists in memory
// only (268 MB), and of pytorch_model.bin and of names that were changed not all can make sense.
// Such a model is written once below `cache`, by content, whole or not at all: two processes may do
// it at once. Errors: file/unwritable, those of model::write_checkpoint.
Result<std::string> folder_for_others(const LoadedModel& model, const std::string& cache);

}  // namespace breakeven::engine
