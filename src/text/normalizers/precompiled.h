// Precompiled: SentencePiece's map of characters, as Hugging Face's `tokenizers` applies it, which
// is another way than SentencePiece's: a grapheme cluster of less than six bytes becomes what
// stands for its shortest beginning in the map, all of it; where there is none, and in longer
// clusters, each code point becomes what stands for it.
#pragma once

#include "text/charsmap.h"
#include "text/normalizers/normalizer.h"

namespace breakeven::text {

class PrecompiledNormalizer final : public Normalizer {
 public:
  static constexpr std::size_t kLongCluster = 6;  // bytes

  explicit PrecompiledNormalizer(Charsmap map) : map_(std::move(map)) {}
  void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                 std::u32string& out) const override;
  const Charsmap& map() const { return map_; }

 private:
  Charsmap map_;
};

Result<std::unique_ptr<Normalizer>> read_precompiled(const JsonObject& object);

}  // namespace breakeven::text
