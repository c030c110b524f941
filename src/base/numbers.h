// A whole text as a number, and a number as text.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace breakeven {

// Decimal; nothing for a blank, a plus sign, anything after the number, and what T cannot hold.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// As JSON, to nine digits, from which the same float is read again; null where it is no number.
void append_float(float value, std::string& out);

}  // namespace breakeven
