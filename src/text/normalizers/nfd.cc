#include "text/normalizers/nfd.h"

#include "text/unicode.h"

namespace breakeven::text {

void NfdNormalizer::normalize(std::u32string_view text, NormalizerBuffers& buffers,
                              std::u32string& out) const {
  out.clear();
  for (const char32_t c : text) append_decomposed(c, out);
  order_marks(out, buffers.sorting);
}

}  // namespace breakeven::text
