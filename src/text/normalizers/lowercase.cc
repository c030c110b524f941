#include "text/normalizers/lowercase.h"

#include "text/unicode.h"

namespace breakeven::text {

void LowercaseNormalizer::normalize(std::u32string_view text, NormalizerBuffers& /*buffers*/,
                                    std::u32string& out) const {
  out.clear();
  for (const char32_t c : text) append_lowercase(c, out);
}

}  // namespace breakeven::text
