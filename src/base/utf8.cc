#include "base/utf8.h"

#include <simdjson.h>

#include <cstring>

namespace breakeven {
namespace {

// Bytes from `from` on that are ASCII for sure; whole words at a time.
std::size_t ascii_end(std::string_view text, std::size_t from) {
  while (from + sizeof(std::uint64_t) <= text.size()) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + from, sizeof(word));
    if ((word & 0x8080808080808080ULL) != 0) break;
    from += sizeof(word);
  }
  return from;
}

}  // namespace

std::size_t first_invalid_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t at = 0;
  while ((at = ascii_end(text, at)) < text.size()) {
    const Decoded decoded = decode_utf8(bytes + at, bytes + text.size());
    if (!decoded.valid) return at;
    at += decoded.bytes;
  }
  return text.size();
}

bool is_valid_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t good = first_invalid_utf8(text);
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) break;
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    append_utf8(kReplacement, out);
    text.remove_prefix(decode_utf8(bytes, bytes + text.size()).bytes);
  }
  return out;
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace breakeven
