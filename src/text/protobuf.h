// The fields of a message in Protocol Buffers' wire format, one after the other. Knows no schema;
// groups, which no file of today has, count as broken.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace breakeven::text {

class ProtobufReader {
 public:
  struct Field {
    std::uint32_t number;
    std::uint64_t value;     // of a number; of a fixed one its bits
    std::string_view bytes;  // of a string, bytes or a message; lives in the message
  };

  explicit ProtobufReader(std::string_view message) : left_(message) {}

  // Nothing at the end, and where the rest is no field.
  std::optional<Field> next();
  bool broken() const { return broken_; }

 private:
  std::optional<std::uint64_t> varint();
  std::optional<std::uint64_t> fixed(std::size_t bytes);

  std::string_view left_;
  bool broken_ = false;
};

}  // namespace breakeven::text
