// Strip: the white space at the ends of a text out.
#pragma once

#include "text/normalizers/normalizer.h"

namespace breakeven::text {

class StripNormalizer final : public Normalizer {
 public:
  struct Flags {
    bool left = true, right = true;
  };
  explicit StripNormalizer(const Flags& wanted) : flags(wanted) {}
  void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                 std::u32string& out) const override;

  const Flags flags;
};

Result<std::unique_ptr<Normalizer>> read_strip(const JsonObject& object);

}  // namespace breakeven::text
