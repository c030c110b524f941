#include "base/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/cgroups.h"
#include "base/units.h"

namespace breakeven {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// "MemTotal:  2000 kB" of a file of such lines.
std::size_t kilobytes_in(const std::filesystem::path& file, const std::string& wanted) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    std::size_t kilobytes = 0;
    if (fields >> name >> kilobytes && name == wanted) return kilobytes * 1024;
  }
  return kNoLimit;
}

// A soft limit of /proc/self/limits: "Max address space   266240000   unlimited   bytes".
std::size_t own_limit(const std::filesystem::path& root, std::string_view name) {
  std::ifstream limits(root / "proc/self/limits");
  for (std::string line; std::getline(limits, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream fields(line.substr(name.size()));
    std::size_t bytes = 0;
    return fields >> bytes ? bytes : kNoLimit;  // "unlimited"
  }
  return kNoLimit;
}

// A number in a cgroup file; "max" and a missing file set no limit.
std::size_t number_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::size_t value = 0;
  return in >> value ? value : kNoLimit;
}

// Page cache that the kernel gives up first; a cgroup counts it as used. "inactive_file" in v2,
// "total_inactive_file" in v1 (whose "inactive_file" leaves the groups below out).
std::size_t reclaimable_in(const std::filesystem::path& folder) {
  std::ifstream stat(folder / "memory.stat");
  std::size_t reclaimable = 0;
  for (std::string line; std::getline(stat, line);) {
    std::istringstream fields(line);
    std::string name;
    std::size_t bytes = 0;
    fields >> name >> bytes;
    if (name == "total_inactive_file") return bytes;
    if (name == "inactive_file") reclaimable = bytes;
  }
  return reclaimable;
}

// The limit of one cgroup folder; v1 writes a number near 2^63 for "none".
std::size_t folder_limit(const std::filesystem::path& folder) {
  return std::min(number_in(folder / "memory.max"), number_in(folder / "memory.limit_in_bytes"));
}

// What is left in one cgroup folder.
std::size_t folder_left(const std::filesystem::path& folder) {
  const std::size_t limit = folder_limit(folder);
  std::size_t used =
      std::min(number_in(folder / "memory.current"), number_in(folder / "memory.usage_in_bytes"));
  if (limit == kNoLimit || used == kNoLimit) return kNoLimit;
  used -= std::min(used, reclaimable_in(folder));
  return limit > used ? limit - used : 0;
}

}  // namespace

std::size_t available_memory_bytes(const std::string& root) {
  const std::filesystem::path base(root);
  std::size_t available = kilobytes_in(base / "proc/meminfo", "MemAvailable:");
  for_each_cgroup_folder(base, "memory", [&](const std::filesystem::path& folder) {
    available = std::min(available, folder_left(folder));
  });
  return available;
}

MemoryLeft memory_left(const std::string& root) {
  MemoryLeft left{available_memory_bytes(root), ""};
  const struct {
    const char* flag;
    const char* limit;
    const char* taken;
  } limits[] = {{"-v", "Max address space", "VmSize:"}, {"-d", "Max data size", "VmData:"}};
  const std::filesystem::path base(root);
  for (const auto& each : limits) {
    const std::size_t limit = own_limit(base, each.limit);
    const std::size_t taken = kilobytes_in(base / "proc/self/status", each.taken);
    if (limit == kNoLimit || taken == kNoLimit) continue;
    const std::size_t bytes = limit > taken ? limit - taken : 0;
    if (bytes >= left.bytes) continue;
    left = {bytes, fmt::format("`ulimit {}` lets this process have {}, and {} are taken", each.flag,
                               format_bytes(static_cast<double>(limit)),
                               format_bytes(static_cast<double>(taken)))};
  }
  return left;
}

std::string MemoryLeft::to_string() const {
  const std::string free = format_bytes(static_cast<double>(bytes)) + " are free";
  return limit.empty() ? free : fmt::format("{} ({})", free, limit);
}

std::string MemoryLeft::advice() const {
  return limit.empty() ? "close other programs"
                       : "raise the limit (`ulimit -v unlimited -d unlimited`)";
}

std::size_t total_memory_bytes(const std::string& root) {
  const std::filesystem::path base(root);
  std::size_t total = kilobytes_in(base / "proc/meminfo", "MemTotal:");
  for_each_cgroup_folder(base, "memory", [&](const std::filesystem::path& folder) {
    total = std::min(total, folder_limit(folder));
  });
  return total;
}

}  // namespace breakeven
