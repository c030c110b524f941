// Writes a checkpoint as a model folder that this program, Hugging Face Transformers and other
// runtimes can load.
#pragma once

#include <string>

#include "base/result.h"
#include "model/checkpoint.h"

namespace breakeven::model {

// Makes `folder` with model.safetensors (F32, under the names that the architecture has),
// config.json and a copy of each tokenizer file of `source_folder`. config.json is the source's; of
// a checkpoint of other sizes it gets these and dtype float32. Files of these names are replaced,
// each whole or not at all; config.json comes last. Errors: file/unwritable, those of read_file and
// parse_plan.
Result<void> write_checkpoint(const Checkpoint& checkpoint, const std::string& source_folder,
                              const std::string& folder);

}  // namespace breakeven::model
