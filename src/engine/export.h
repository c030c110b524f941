// The model as a folder that other runtimes can load.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/load.h"

namespace breakeven::engine {

// Where config.json, tokenizer and safetensors of exactly this model lie. For a model that came
// from a folder, that folder; the widened built-in one exists in memory only and is written once
// below `cache` (268 MB), by content, whole or not at all: two processes may do it at once.
// Errors: file/unwritable, those of model::write_checkpoint.
Result<std::string> folder_for_others(const LoadedModel& model, const std::string& cache);

}  // namespace breakeven::engine
