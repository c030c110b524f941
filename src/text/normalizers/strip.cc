#include "text/normalizers/strip.h"

#include "text/unicode.h"

namespace breakeven::text {

void StripNormalizer::normalize(std::u32string_view text, NormalizerBuffers& /*buffers*/,
                                std::u32string& out) const {
  while (flags.left && !text.empty() && is_whitespace(text.front())) text.remove_prefix(1);
  while (flags.right && !text.empty() && is_whitespace(text.back())) text.remove_suffix(1);
  out = text;
}

Result<std::unique_ptr<Normalizer>> read_strip(const JsonObject& object) {
  StripNormalizer::Flags flags;
  BREAKEVEN_TRY(flags.left, object.boolean("strip_left"));
  BREAKEVEN_TRY(flags.right, object.boolean("strip_right"));
  return std::make_unique<StripNormalizer>(flags);
}

}  // namespace breakeven::text
