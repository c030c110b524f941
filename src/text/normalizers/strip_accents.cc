#include "text/normalizers/strip_accents.h"

#include "text/unicode.h"

namespace breakeven::text {

void StripAccentsNormalizer::normalize(std::u32string_view text, NormalizerBuffers& /*buffers*/,
                                       std::u32string& out) const {
  out.clear();
  for (const char32_t c : text) {
    if (!is_mark(c)) out.push_back(c);
  }
}

}  // namespace breakeven::text
