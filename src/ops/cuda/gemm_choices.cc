#include "ops/cuda/gemm_choices.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <vector>

#include "base/content_hash.h"
#include "base/descriptor.h"
#include "base/files.h"

namespace breakeven::ops::cuda {
namespace {

constexpr std::string_view kFormat = "breakeven gemm algorithms 1";
constexpr std::string_view kChecksum = "sha256 ";
constexpr double kNoise = 0.02;

tl::unexpected<Error> damaged(const std::string& what) {
  return fail("gemm/choices", what, "the file is written anew");
}

// Takes the text up to the next end of line.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

bool parse_code(std::string_view text, GemmAlgorithm& algorithm) {
  constexpr std::size_t kDigits = 16;
  if (text.size() != kDigits * algorithm.code.size()) return false;
  for (std::size_t i = 0; i < algorithm.code.size(); ++i) {
    const char* begin = text.data() + i * kDigits;
    const auto [stop, error] = std::from_chars(begin, begin + kDigits, algorithm.code.at(i), 16);
    if (error != std::errc{} || stop != begin + kDigits) return false;
  }
  return true;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::string identity_of(const DeviceInfo& device) {
  return fmt::format("{}, sm_{}{}, {} multiprocessors, {}, driver {}", device.name, device.major,
                     device.minor, device.multiprocessors, device.gemm_note, device.driver);
}

std::size_t fastest(std::span<const std::vector<double>> seconds) {
  std::size_t best = std::numeric_limits<std::size_t>::max();
  double best_seconds = std::numeric_limits<double>::infinity();
  double needed = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    if (seconds[i].empty()) continue;
    const double own = median(seconds[i]);
    if (own >= needed || own >= best_seconds) continue;
    // Only the first guess has the benefit of the doubt: among the others the faster one counts.
    if (i == 0) needed = own * (1 - kNoise);
    best = i;
    best_seconds = own;
  }
  return best;
}

std::string write_choices(const GemmChoices& choices, const std::string& identity) {
  std::string text = fmt::format("{}\n{}\n", kFormat, identity);
  for (const auto& [key, algorithm] : choices) {
    text += key + ' ';
    for (const std::uint64_t word : algorithm.code) text += fmt::format("{:016x}", word);
    text += '\n';
  }
  return text + fmt::format("{}{}\n", kChecksum, sha256_hex(text));
}

Result<GemmChoices> read_choices(std::string_view text, const std::string& identity) {
  const std::size_t last = text.rfind(kChecksum);
  if (last == std::string_view::npos) return damaged("no checksum");
  const std::string_view body = text.substr(0, last);
  if (text.substr(last) != fmt::format("{}{}\n", kChecksum, sha256_hex(body))) {
    return damaged("the checksum is wrong");
  }
  std::string_view rest = body;
  if (const std::string_view format = take_line(rest); format != kFormat) {
    return damaged(fmt::format("'{}' is not the format of this version", format));
  }
  if (const std::string_view of = take_line(rest); of != identity) {
    return damaged(fmt::format("it belongs to '{}'", of));
  }
  GemmChoices choices;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    const std::size_t space = std::min(line.find(' '), line.size());
    GemmAlgorithm algorithm;
    if (space == line.size() || !parse_code(line.substr(space + 1), algorithm)) {
      return damaged(fmt::format("'{}' is no choice", line));
    }
    choices[std::string(line.substr(0, space))] = algorithm;
  }
  return choices;
}

std::string choices_file(const std::string& folder, const std::string& identity) {
  constexpr std::size_t kDigits = 16;
  return fmt::format("{}/{}.txt", folder, sha256_hex(identity).substr(0, kDigits));
}

Result<GemmChoices> load_choices(const std::string& file, const std::string& identity) {
  const auto text = read_file(file);
  if (!text) {
    if (text.error().code == "file/missing") return GemmChoices{};
    return tl::unexpected<Error>(text.error());
  }
  return read_choices(*text, identity);
}

Result<void> add_choices(const std::string& file, const std::string& identity,
                         const GemmChoices& choices) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(file).parent_path(), error);
  // The lock is a file of its own: the other one is replaced.
  const std::string lock_name = file + ".lock";
  const Descriptor lock(::open(lock_name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock.is_open() || ::flock(lock.get(), LOCK_EX) != 0) {
    return fail("file/unwritable", fmt::format("{}: {}", lock_name, std::strerror(errno)),
                "set XDG_CACHE_HOME to a folder that you may write to");
  }
  GemmChoices all = choices;
  if (auto known = load_choices(file, identity)) all.merge(*known);
  return write_file_atomic(file, write_choices(all, identity));
}

}  // namespace breakeven::ops::cuda
