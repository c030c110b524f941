// From other encodings of text to UTF-8.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "data/bytes.h"

namespace breakeven::data {

// utf16 and utf32: by the byte order mark, little-endian without one, as in Python.
enum class Encoding : std::uint8_t {
  utf8,
  utf16,
  utf16le,
  utf16be,
  utf32,
  utf32le,
  utf32be,
  latin1,
  cp1252
};
// Their names as in Python, whose aliases are taken, too. Errors: data/encoding.
Result<Encoding> parse_encoding(std::string_view name);
std::string_view name_of(Encoding encoding);  // that parse_encoding takes

// By the byte order mark that the first bytes are; nothing where they are none.
std::optional<Encoding> marked_encoding(std::string_view head);
// Which encoding to read by. Errors: data/encoding where mark and flag contradict each other.
Result<Encoding> choose_encoding(const std::optional<Encoding>& given, std::string_view head,
                                 const std::string& name);

// `bytes` as UTF-8, its byte order mark kept. What cannot be decoded is U+FFFD and counts as lost.
std::unique_ptr<ByteStream> decode(Encoding encoding, std::unique_ptr<ByteStream> bytes);

}  // namespace breakeven::data
