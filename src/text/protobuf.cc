#include "text/protobuf.h"

#include <bit>
#include <cstring>

namespace breakeven::text {

static_assert(std::endian::native == std::endian::little, "fixed numbers are read as they lie");

// Seven bits a byte, the lowest first; the highest bit says that more follow. At most ten bytes.
std::optional<std::uint64_t> ProtobufReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(left_.front());
    left_.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  return {};
}

std::optional<std::uint64_t> ProtobufReader::fixed(std::size_t bytes) {
  if (left_.size() < bytes) return {};
  std::uint64_t value = 0;
  std::memcpy(&value, left_.data(), bytes);
  left_.remove_prefix(bytes);
  return value;
}

std::optional<ProtobufReader::Field> ProtobufReader::next() {
  if (broken_ || left_.empty()) return {};
  broken_ = true;  // until the field is whole
  enum Wire : std::uint8_t { number = 0, fixed_64 = 1, length = 2, fixed_32 = 5 };
  const auto tag = varint();
  if (!tag || *tag >> 3 == 0 || *tag >> 32 != 0) return {};
  Field field{static_cast<std::uint32_t>(*tag >> 3), 0, {}};
  const auto wire = static_cast<unsigned>(*tag & 7);
  if (wire != number && wire != fixed_64 && wire != length && wire != fixed_32) return {};
  const auto value = wire == fixed_64 ? fixed(8) : wire == fixed_32 ? fixed(4) : varint();
  if (!value || (wire == length && *value > left_.size())) return {};
  if (wire == length) {
    field.bytes = left_.substr(0, *value);
    left_.remove_prefix(*value);
  } else {
    field.value = *value;
  }
  broken_ = false;
  return field;
}

}  // namespace breakeven::text
