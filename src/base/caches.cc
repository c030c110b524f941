#include "base/caches.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

#include "base/files.h"
#include "base/topology.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

std::string first_word(const fs::path& file) {
  std::ifstream stream(file);
  std::string word;
  stream >> word;
  return word;
}

// "48K", "2048K", "105M", "512" -> bytes
std::optional<std::size_t> parse_size(std::string_view text) {
  std::size_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  if (unit.empty()) return number;
  if (unit == "K") return number << 10U;
  if (unit == "M") return number << 20U;
  if (unit == "G") return number << 30U;
  return std::nullopt;
}

// Folders of `parent` whose names are `prefix` and a number.
std::vector<fs::path> numbered_folders(const fs::path& parent, const std::string& prefix) {
  std::vector<fs::path> folders;
  for (const fs::path& entry : entries_of(parent)) {
    const std::string name = entry.filename().string();
    if (name.size() > prefix.size() && name.compare(0, prefix.size(), prefix) == 0 &&
        name.find_first_not_of("0123456789", prefix.size()) == std::string::npos) {
      folders.push_back(entry);
    }
  }
  return folders;
}

}  // namespace

std::vector<CpuCache> cpu_caches(const std::string& root) {
  // Each CPU lists the caches it uses; one instance shows up at every CPU that shares it, with the
  // same list of CPUs.
  using Kind = std::tuple<unsigned, std::string, std::size_t>;
  std::map<Kind, std::set<std::string>> instances;
  for (const fs::path& cpu : numbered_folders(fs::path(root) / "sys/devices/system/cpu", "cpu")) {
    for (const fs::path& index : numbered_folders(cpu / "cache", "index")) {
      const std::string level = first_word(index / "level");
      const std::string type = first_word(index / "type");
      const std::string shared = first_word(index / "shared_cpu_list");
      const std::optional<std::size_t> bytes = parse_size(first_word(index / "size"));
      if (level.size() != 1 || level[0] < '1' || level[0] > '9' || !bytes || shared.empty())
        continue;
      instances[{static_cast<unsigned>(level[0] - '0'), type, *bytes}].insert(shared);
    }
  }
  std::vector<CpuCache> caches;
  for (const auto& [kind, lists] : instances) {
    const auto& [level, type, bytes] = kind;
    caches.push_back({level, type, bytes, static_cast<unsigned>(lists.size()),
                      static_cast<unsigned>(parse_cpu_list(*lists.begin()).size())});
  }
  return caches;
}

}  // namespace breakeven
