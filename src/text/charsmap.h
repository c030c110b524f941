// SentencePiece's map of characters, as a Precompiled normalizer and the files of SentencePiece
// have it: a double array (darts-clone's) of byte strings over a pool of texts that replace them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::text {

class Charsmap {
 public:
  Charsmap() = default;
  // `bytes`: the array's size in bytes as 4 bytes, little-endian, the array, the pool of texts,
  // each ended by NUL. `where`: of errors. Errors: tokenizer/json.
  static Result<Charsmap> parse(std::string_view bytes, const std::string& where);

  // What replaces the shortest beginning of `text` that is a key; nothing where none is.
  std::optional<std::string_view> shortest(std::string_view text) const;

 private:
  std::vector<std::uint32_t> units_;
  std::string pool_;
};

}  // namespace breakeven::text
