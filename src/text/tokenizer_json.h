// tokenizer.json: the tokenizers package's own file.
#pragma once

#include <string>

#include "base/result.h"
#include "text/spec.h"

namespace breakeven::text {

// Reads vocabulary, added tokens, normaliser, templates and truncation from `path` into `spec`, as
// the file says them; token ids in spec.info are left alone. Errors: tokenizer/json;
// tokenizer/unsupported, naming the part, for anything but BERT WordPiece; tokenizer/vocabulary.
Result<void> read_tokenizer_json(const std::string& path, TokenizerSpec& spec);

}  // namespace breakeven::text
