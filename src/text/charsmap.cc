#include "text/charsmap.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace breakeven::text {

static_assert(std::endian::native == std::endian::little, "the array is read as it lies");

Result<Charsmap> Charsmap::parse(std::string_view bytes, const std::string& where) {
  std::uint32_t size = 0;
  if (bytes.size() >= sizeof(size)) std::memcpy(&size, bytes.data(), sizeof(size));
  if (bytes.size() < sizeof(size) || size % sizeof(std::uint32_t) != 0 ||
      size > bytes.size() - sizeof(size))
    return fail("tokenizer/json",
                fmt::format("{}: {} bytes do not hold an array of {}", where, bytes.size(), size),
                "download the model's tokenizer files again");
  Charsmap out;
  out.units_.resize(size / sizeof(std::uint32_t));
  std::memcpy(out.units_.data(), bytes.data() + sizeof(size), size);
  out.pool_ = bytes.substr(sizeof(size) + size);
  return out;
}

std::optional<std::string_view> Charsmap::shortest(std::string_view text) const {
  const auto offset = [](std::uint32_t unit) {
    return std::size_t{(unit >> 10) << ((unit & 0x200) >> 6)};
  };
  if (units_.empty()) return {};
  std::size_t at = offset(units_[0]);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return {};
    at ^= byte;
    if (at >= units_.size()) return {};
    const std::uint32_t unit = units_[at];
    // A leaf has its highest bit set and so is no byte's.
    if ((unit & 0x800000FF) != byte) return {};
    at ^= offset(unit);
    if ((unit & 0x100) == 0) continue;
    if (at >= units_.size()) return {};
    const std::size_t start = units_[at] & 0x7FFFFFFF;
    if (start >= pool_.size()) return {};
    return std::string_view(pool_).substr(start, pool_.find('\0', start) - start);
  }
  return {};
}

}  // namespace breakeven::text
