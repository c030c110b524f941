// vocab.json and merges.txt: byte-level BPE as it was kept before tokenizer.json.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "text/spec.h"

namespace breakeven::text {

bool has_bpe_files(const std::filesystem::path& folder);
// Normaliser, pre-tokenizer and model into `spec`. Errors: tokenizer/json, tokenizer/vocabulary.
Result<void> read_bpe_files(const std::filesystem::path& folder, TokenizerSpec& spec);

}  // namespace breakeven::text
