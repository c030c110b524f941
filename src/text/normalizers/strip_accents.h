// StripAccents: every mark out, spacing and enclosing ones too (BertNormalizer takes out
// non-spacing ones only). It decomposes nothing: an accent in one code point with its letter stays.
#pragma once

#include "text/normalizers/normalizer.h"

namespace breakeven::text {

class StripAccentsNormalizer final : public Normalizer {
 public:
  void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                 std::u32string& out) const override;
};

}  // namespace breakeven::text
