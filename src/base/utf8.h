// UTF-8 in both directions. Invalid input follows Unicode's "maximal subpart" practice (as Python's
// bytes.decode("utf-8", "replace")): each ill-formed part counts as one U+FFFD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace breakeven {

inline constexpr char32_t kReplacement = 0xFFFD;
inline constexpr char32_t kLastCodePoint = 0x10FFFF;

struct Decoded {
  char32_t code_point;
  unsigned bytes;  // how many bytes were read, at least 1
  bool valid;
};

// Reads one code point at `at`; at < end.
inline Decoded decode_utf8(const unsigned char* at, const unsigned char* end) {
  const unsigned lead = *at;
  if (lead < 0x80) return {lead, 1, true};
  unsigned length = 0;
  unsigned low = 0x80, high = 0xBF;  // what the second byte may be
  char32_t value = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
    value = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    value = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;   // shorter forms exist
    if (lead == 0xED) high = 0x9F;  // surrogates
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    value = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;  // above U+10FFFF
  } else {
    return {kReplacement, 1, false};
  }
  for (unsigned i = 1; i < length; ++i) {
    if (at + i == end || at[i] < low || at[i] > high) return {kReplacement, i, false};
    value = (value << 6) | (at[i] & 0x3FU);
    low = 0x80;
    high = 0xBF;
  }
  return {value, length, true};
}

// Writes 1 to 4 bytes and returns how many.
inline unsigned encode_utf8(char32_t c, char* out) {
  const auto byte = [](char32_t value) {
    return static_cast<char>(static_cast<unsigned char>(value));
  };
  if (c < 0x80) {
    out[0] = byte(c);
    return 1;
  }
  if (c < 0x800) {
    out[0] = byte(0xC0 | (c >> 6));
    out[1] = byte(0x80 | (c & 0x3F));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = byte(0xE0 | (c >> 12));
    out[1] = byte(0x80 | ((c >> 6) & 0x3F));
    out[2] = byte(0x80 | (c & 0x3F));
    return 3;
  }
  out[0] = byte(0xF0 | (c >> 18));
  out[1] = byte(0x80 | ((c >> 12) & 0x3F));
  out[2] = byte(0x80 | ((c >> 6) & 0x3F));
  out[3] = byte(0x80 | (c & 0x3F));
  return 4;
}

inline void append_utf8(char32_t c, std::string& out) {
  char bytes[4];
  out.append(bytes, encode_utf8(c, bytes));
}

// Appends the code points of `text` to `out`; returns whether all of it was well-formed.
inline bool append_code_points(std::string_view text, std::u32string& out) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  bool valid = true;
  while (at < end) {
    const Decoded decoded = decode_utf8(at, end);
    out.push_back(decoded.code_point);
    valid = valid && decoded.valid;
    at += decoded.bytes;
  }
  return valid;
}

bool is_valid_utf8(std::string_view text);
// The place of the first byte that is no part of a well-formed sequence; text.size() where there is
// none.
std::size_t first_invalid_utf8(std::string_view text);
// A copy in which each ill-formed part is U+FFFD.
std::string repair_utf8(std::string_view text);

// The text with A to Z in lower case.
std::string lower_ascii(std::string_view text);

}  // namespace breakeven
