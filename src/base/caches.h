// The CPU's caches, as the kernel describes them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace breakeven {

struct CpuCache {
  unsigned level = 0;      // 1, 2, 3
  std::string type;        // "Data", "Instruction", "Unified"
  std::size_t bytes = 0;   // of one instance
  unsigned count = 0;      // instances on this machine
  unsigned shared_by = 0;  // CPUs (hardware threads) that share one instance
};

// Ordered by level, then type; empty where the kernel tells nothing (some containers and VMs).
// `root` is "/" but for tests, which bring their own tree (sys/devices/system/cpu below it).
std::vector<CpuCache> cpu_caches(const std::string& root = "/");

}  // namespace breakeven
