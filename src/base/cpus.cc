#include "base/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace breakeven {
namespace {

// Quota of one cgroup folder in CPUs; 0 when it sets none.
double folder_quota(const std::filesystem::path& folder) {
  if (std::ifstream v2(folder / "cpu.max"); v2) {
    std::string quota;
    double period = 0;
    v2 >> quota >> period;
    if (quota != "max" && period > 0) return std::atof(quota.c_str()) / period;
    return 0;
  }
  std::ifstream quota_file(folder / "cpu.cfs_quota_us");
  std::ifstream period_file(folder / "cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0)
    return quota / period;
  return 0;
}

// The smallest quota from this process's cgroup up to the root: each level limits those below it.
double process_quota(const std::filesystem::path& root) {
  std::ifstream cgroups(root / "proc/self/cgroup");
  double smallest = 0;
  for (std::string line; std::getline(cgroups, line);) {
    // hierarchy:controllers:path; v2 has no controllers, v1's CPU hierarchy names "cpu".
    std::istringstream fields(line);
    std::string hierarchy;
    std::string controllers;
    std::string path;
    std::getline(fields, hierarchy, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const std::filesystem::path base = root / "sys/fs/cgroup" / (v2 ? "" : controllers);
    std::filesystem::path below = std::filesystem::path(path).relative_path();
    while (true) {
      const double quota = folder_quota(base / below);
      if (quota > 0) smallest = smallest > 0 ? std::min(smallest, quota) : quota;
      if (below.empty()) break;
      below = below.parent_path();
    }
  }
  return smallest;
}

}  // namespace

unsigned UsableCpus::threads() const {
  auto count = static_cast<unsigned>(std::max<std::size_t>(1, ids.size()));
  if (quota > 0) count = std::min(count, static_cast<unsigned>(std::max(1.0, std::ceil(quota))));
  return count;
}

UsableCpus usable_cpus(const std::string& root) {
  UsableCpus cpus;
  // Machines with more than 1,024 CPUs need a larger mask than cpu_set_t.
  for (std::size_t size = 1024; size <= 1U << 18; size *= 4) {
    cpu_set_t* mask = CPU_ALLOC(size);
    const std::size_t bytes = CPU_ALLOC_SIZE(size);
    const bool ok = sched_getaffinity(0, bytes, mask) == 0;
    for (std::size_t id = 0; ok && id < size; ++id) {
      if (CPU_ISSET_S(id, bytes, mask)) cpus.ids.push_back(static_cast<int>(id));
    }
    CPU_FREE(mask);
    if (ok) break;
  }
  cpus.quota = process_quota(root);
  return cpus;
}

}  // namespace breakeven
