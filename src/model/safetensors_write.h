// Writes a checkpoint as a model folder that this program, Hugging Face Transformers and other
// runtimes can load.
#pragma once

#include <string>

#include "base/result.h"
#include "model/checkpoint.h"

namespace breakeven::model {

// Makes `folder` with model.safetensors (F32), config.json (that of `source_folder` with the
// checkpoint's sizes and dtype float32, other fields kept) and a copy of each tokenizer file of
// `source_folder`. Files of these names are replaced, each whole or not at all; config.json comes
// last. Errors: file/unwritable, those of read_file, config/json when the source's config is none.
Result<void> write_checkpoint(const Checkpoint& checkpoint, const std::string& source_folder,
                              const std::string& folder);

}  // namespace breakeven::model
