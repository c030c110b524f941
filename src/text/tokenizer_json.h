// tokenizer.json: the four parts, each by its kind, and what stands beside them.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "text/spec.h"

namespace breakeven::text {

// How errors about a tokenizer's file of JSON are told.
JsonSource tokenizer_source(const std::string& path);

// Reads `path` into `spec`, as the file says it; spec.model.unknown_id and what other files
// decide are left alone. Errors: tokenizer/json; tokenizer/unsupported, naming the part, for a kind
// that is not known; tokenizer/vocabulary.
Result<void> read_tokenizer_json(const std::string& path, TokenizerSpec& spec);

}  // namespace breakeven::text
