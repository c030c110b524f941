#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace breakeven {

std::string three_digits(double value) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (value == 0) return "0";
  if (std::abs(value) < 1e-30) return fmt::format("{:.2e}", value);  // the scale would overflow
  // Round to three digits first, so that 999.6 becomes 1,000 and not "1000".
  const double scale = std::pow(10.0, 2.0 - std::floor(std::log10(std::abs(value))));
  const double rounded = std::round(value * scale) / scale;
  const double size = std::abs(rounded);
  if (size < 1e-4 || size >= 1e15) return fmt::format("{:.2e}", rounded);
  if (size >= 100) {
    std::string digits = fmt::format("{:.0f}", size);
    for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
      digits.insert(static_cast<std::size_t>(at), ",");
    }
    return (rounded < 0 ? "-" : "") + digits;
  }
  const int decimals = 2 - static_cast<int>(std::floor(std::log10(size)));
  return fmt::format("{:.{}f}", rounded, decimals);
}

std::string format_seconds(double seconds) {
  const double size = std::abs(seconds);
  if (size >= 120) return three_digits(seconds / 60) + " min";
  if (size >= 1) return three_digits(seconds) + " s";
  if (size >= 1e-3) return three_digits(seconds * 1e3) + " ms";
  if (size >= 1e-6) return three_digits(seconds * 1e6) + " us";
  return three_digits(seconds * 1e9) + " ns";
}

std::string format_bytes(double bytes) {
  const double size = std::abs(bytes);
  if (size >= 1e9) return three_digits(bytes / 1e9) + " GB";
  if (size >= 1e6) return three_digits(bytes / 1e6) + " MB";
  if (size >= 1e3) return three_digits(bytes / 1e3) + " kB";
  return three_digits(bytes) + " B";
}

std::string percent(double share) {
  if (std::isnan(share)) return "-";
  if (share == 0) return "0 %";
  if (std::abs(share) < 0.001) return share > 0 ? "<0.1 %" : ">-0.1 %";
  if (share < 1 && share >= 0.9995) return ">99.9 %";
  return (share == 1 ? "100" : three_digits(share * 100)) + " %";
}

std::string times(double ratio) {
  return three_digits(ratio) + "x";
}

std::string counted(std::uint64_t count, const std::string& noun) {
  // three_digits() would round: a count is exact.
  std::string digits = std::to_string(count);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits + " " + noun + (count == 1 ? "" : "s");
}

Result<double> parse_duration(std::string_view text) {
  const auto wrong = [&] {
    return fail("units/duration", fmt::format("'{}' is not a duration", text),
                "write for example 90s, 3m, 250ms");
  };
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || number <= 0) return wrong();
  const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
      {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"m", 60}, {"h", 3600}}};
  for (const auto& [name, seconds] : kUnits) {
    if (unit == name) return number * seconds;
  }
  return wrong();
}

}  // namespace breakeven
