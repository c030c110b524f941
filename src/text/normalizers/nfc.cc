#include "text/normalizers/nfc.h"

#include <algorithm>

#include "text/unicode.h"

namespace breakeven::text {

void NfcNormalizer::normalize(std::u32string_view text, NormalizerBuffers& buffers,
                              std::u32string& out) const {
  // Below the first combining mark nothing changes.
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x300; })) {
    out = text;
    return;
  }
  out.clear();
  for (const char32_t c : text) append_decomposed(c, out);
  order_marks(out, buffers.sorting);
  compose(out);
}

}  // namespace breakeven::text
