// NFC: canonical decomposition, put together again.
#pragma once

#include "text/normalizers/normalizer.h"

namespace breakeven::text {

class NfcNormalizer final : public Normalizer {
 public:
  void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                 std::u32string& out) const override;
};

}  // namespace breakeven::text
