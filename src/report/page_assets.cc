#include "report/page_assets.h"

#include <array>

#include "base/content_hash.h"

namespace breakeven::report {
namespace {

constexpr std::string_view kChart =
#include "chart_js.inc"
    ;
constexpr std::string_view kStyle =
#include "page_style.inc"
    ;
constexpr std::string_view kDecide =
#include "page_decide.inc"
    ;
constexpr std::string_view kSliders =
#include "page_sliders.inc"
    ;
constexpr std::string_view kScript =
#include "page_script.inc"
    ;

unsigned hex_digit(char c) {
  return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
}

// Base64 of bytes that are written as lower-case hex: each three digits are two characters.
std::string base64_of_hex(std::string hex) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t padding = (3 - hex.size() / 2 % 3) % 3;
  hex.append(padding * 2, '0');
  std::string out;
  for (std::size_t i = 0; i + 3 <= hex.size(); i += 3) {
    const unsigned bits =
        hex_digit(hex[i]) << 8U | hex_digit(hex[i + 1]) << 4U | hex_digit(hex[i + 2]);
    out += kAlphabet[bits >> 6U];
    out += kAlphabet[bits & 63U];
  }
  out.replace(out.size() - padding, padding, padding, '=');
  return out;
}

}  // namespace

std::string_view page_style() {
  return kStyle;
}
std::span<const std::string_view> page_scripts() {
  static constexpr std::array kScripts = {kChart, kDecide, kSliders, kScript};
  return kScripts;
}

std::string policy_hash(std::string_view content) {
  return "'sha256-" + base64_of_hex(sha256_hex(content)) + "'";
}

}  // namespace breakeven::report
