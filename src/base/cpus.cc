#include "base/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/cgroups.h"

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

// The smallest quota from this process's cgroup up to the root.
double process_quota(const std::filesystem::path& root) {
  double smallest = 0;
  for_each_cgroup_folder(root, "cpu", [&](const std::filesystem::path& folder) {
    const double quota = folder_quota(folder);
    if (quota > 0) smallest = smallest > 0 ? std::min(smallest, quota) : quota;
  });
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
