#include "text/normalizers/precompiled.h"

#include <array>

#include "base/utf8.h"
#include "text/graphemes.h"

namespace breakeven::text {
namespace {

// Nothing where `text` is no Base64 with padding.
std::optional<std::string> decode_base64(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kDigits.size(); ++i)
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<int>(i);
  if (text.size() % 4 != 0) return {};
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const int value = values[static_cast<unsigned char>(c)];
    if (value < 0) return {};
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return out;
}

}  // namespace

void PrecompiledNormalizer::normalize(std::u32string_view text, NormalizerBuffers& /*buffers*/,
                                      std::u32string& out) const {
  out.clear();
  const auto append = [&](std::u32string_view part) {
    std::array<char, 4 * kLongCluster> bytes;
    std::size_t length = 0;
    for (const char32_t c : part) length += encode_utf8(c, bytes.data() + length);
    const auto found = map_.shortest({bytes.data(), length});
    if (found) append_code_points(*found, out);
    return found.has_value();
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = grapheme_end(text, at);
    std::size_t length = 0;
    for (std::size_t i = at; i < end && length < kLongCluster; ++i) {
      char bytes[4];
      length += encode_utf8(text[i], bytes);
    }
    const std::u32string_view cluster = text.substr(at, end - at);
    at = end;
    if (length < kLongCluster && append(cluster)) continue;
    for (std::size_t i = 0; i < cluster.size(); ++i)
      if (!append(cluster.substr(i, 1))) out.push_back(cluster[i]);
  }
}

Result<std::unique_ptr<Normalizer>> read_precompiled(const JsonObject& object) {
  BREAKEVEN_TRY(const std::string encoded, object.text("precompiled_charsmap"));
  const auto bytes = decode_base64(encoded);
  if (!bytes) return object.wrong("precompiled_charsmap", "a map in Base64");
  BREAKEVEN_TRY(Charsmap map, Charsmap::parse(*bytes, object.where("precompiled_charsmap")));
  return std::make_unique<PrecompiledNormalizer>(std::move(map));
}

}  // namespace breakeven::text
