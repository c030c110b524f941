// SentencePiece's own file (sentencepiece.bpe.model, spm.model), where there is no tokenizer.json:
// a message of Protocol Buffers with the pieces and the map of characters. It becomes what
// Transformers 4 makes of it for the class that the folder names; the file's own settings of
// blanks (add_dummy_prefix, remove_extra_whitespaces) and byte_fallback count as little as there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/spec.h"
#include "text/tokenizer_config.h"

namespace breakeven::text {

struct SentencePieceModel {
  // As SentencePiece numbers them.
  enum class Type : std::uint8_t { normal = 1, unknown, control, user_defined, unused, byte };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::normal;
  };
  std::vector<Piece> pieces;  // by SentencePiece's id
  std::int32_t unknown_id = 0;
  std::string charsmap;  // empty: characters stay as they are
};

// `path`: of errors, which are tokenizer/vocabulary for what is no such file and
// tokenizer/unsupported for another model than Unigram.
Result<SentencePieceModel> parse_sentencepiece(std::string_view bytes, const std::string& path);

// The file that the class keeps its pieces in; nothing where it has no such file, or it is not
// there.
std::optional<std::filesystem::path> find_sentencepiece(const std::filesystem::path& folder,
                                                        const TokenizerConfig& config);

// Everything but the roles of special tokens into `spec`. Errors: as above, and tokenizer/json for
// a broken map.
Result<void> read_sentencepiece(const std::filesystem::path& path, const TokenizerConfig& config,
                                TokenizerSpec& spec);

}  // namespace breakeven::text
