#include "cli/quantities.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace breakeven::cli {
namespace {

constexpr double kHoursAYear = 365.25 * 24;
constexpr double kMonthsAYear = 12;

using Units = std::initializer_list<std::pair<std::string_view, double>>;

tl::unexpected<Error> refuse(const std::string& flag, const std::string& text, const char* what,
                             const char* example) {
  return fail("flag/quantity", fmt::format("{} '{}' is not {}", flag, text, what),
              fmt::format("write for example {}", example));
}

// A plain decimal number at the front of `text`, which is moved after it. Nothing for a sign,
// "inf", "nan", hexadecimal or no number at all.
bool take_number(std::string_view& text, double& number) {
  if (text.empty() || !((text[0] >= '0' && text[0] <= '9') || text[0] == '.')) return false;
  const auto [rest, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(number)) return false;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  return true;
}

// The unit's factor, or 0 when `text` is none of them.
double unit_factor(std::string_view text, const Units& units) {
  for (const auto& [name, factor] : units) {
    if (text == name) return factor;
  }
  return 0;
}

bool parse(std::string_view text, const Units& units, double& value) {
  if (!take_number(text, value)) return false;
  const double factor = unit_factor(text, units);
  value *= factor;
  return factor > 0 && std::isfinite(value);
}

}  // namespace

Result<double> parse_price(const std::string& flag, const std::string& text) {
  std::string_view rest = text;
  if (rest.starts_with('$')) rest.remove_prefix(1);
  double price = 0;
  if (!parse(rest, {{"", 1}, {"/h", 1}, {"/hour", 1}}, price)) {
    return refuse(flag, text, "a price of a machine an hour, 0 or more", "0.19 or 0.19/h");
  }
  return price;
}

Result<double> parse_load(const std::string& flag, const std::string& text) {
  const auto wrong = [&] {
    return refuse(flag, text, "a load above 0 with its unit of time", "40/s, 600/min or 2M/day");
  };
  std::string_view rest = text;
  double load = 0;
  if (!take_number(rest, load)) return wrong();
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return wrong();
  const double scale =
      unit_factor(rest.substr(0, slash), {{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}});
  const double unit_s =
      unit_factor(rest.substr(slash), {{"/s", 1},
                                       {"/min", 60},
                                       {"/h", 3600},
                                       {"/hour", 3600},
                                       {"/day", 86400},
                                       {"/month", kHoursAYear / kMonthsAYear * 3600}});
  load = unit_s > 0 ? load * scale / unit_s : 0;
  if (!(load > 0) || !std::isfinite(load)) return wrong();
  return load;
}

Result<double> parse_budget(const std::string& flag, const std::string& text) {
  std::string_view rest = text;
  if (rest.starts_with('$')) rest.remove_prefix(1);
  double budget = 0;
  const bool known = parse(rest,
                           {{"", 1},
                            {"/month", 1},
                            {"/year", 1 / kMonthsAYear},
                            {"/day", kHoursAYear / 24 / kMonthsAYear},
                            {"/h", kHoursAYear / kMonthsAYear}},
                           budget);
  if (!known || !(budget > 0)) {
    return refuse(flag, text, "a budget above 0", "200/month or 2400/year");
  }
  return budget;
}

Result<double> parse_memory(const std::string& flag, const std::string& text) {
  constexpr double kKi = 1024;
  double bytes = 0;
  const bool known = parse(text,
                           {{"B", 1},
                            {"k", 1e3},
                            {"kB", 1e3},
                            {"KB", 1e3},
                            {"M", 1e6},
                            {"MB", 1e6},
                            {"G", 1e9},
                            {"GB", 1e9},
                            {"T", 1e12},
                            {"TB", 1e12},
                            {"KiB", kKi},
                            {"MiB", kKi * kKi},
                            {"GiB", kKi * kKi * kKi},
                            {"TiB", kKi * kKi * kKi * kKi}},
                           bytes);
  if (!known || !(bytes > 0)) {
    return refuse(flag, text, "a size above 0 with its unit", "2GB or 512MiB");
  }
  return bytes;
}

Result<double> parse_wait(const std::string& flag, const std::string& text) {
  double seconds = 0;
  if (!parse(text, {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"min", 60}}, seconds)) {
    return refuse(flag, text, "a time with its unit", "100ms or 0.5s");
  }
  return seconds;
}

Result<double> parse_latency(const std::string& flag, const std::string& text) {
  auto seconds = parse_wait(flag, text);
  if (!seconds || !(*seconds > 0)) {
    return refuse(flag, text, "a time above 0 with its unit", "100ms or 0.5s");
  }
  return seconds;
}

Result<double> parse_percent(const std::string& flag, const std::string& text) {
  double share = 0;
  if (!parse(text, {{"", 0.01}, {"%", 0.01}}, share) || share > 1) {
    return refuse(flag, text, "a percentage from 0 to 100", "0.5 or 0.5%");
  }
  return share;
}

Result<double> parse_peak(const std::string& flag, const std::string& text) {
  double times = 0;
  if (!parse(text, {{"", 1}, {"x", 1}}, times) || times < 1) {
    return refuse(flag, text, "how many times the average the busiest time is, 1 or more", "3x");
  }
  return times;
}

Result<void> read_quantities(const CLI::App& command, std::initializer_list<QuantityFlag> flags) {
  for (const QuantityFlag& flag : flags) {
    if (command.count(flag.name) > 0) {
      BREAKEVEN_TRY(flag.value, flag.parse(flag.name, flag.text));
    }
  }
  return {};
}

}  // namespace breakeven::cli
