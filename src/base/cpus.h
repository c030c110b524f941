// How many CPUs this process may really use: its affinity mask, cut by the cgroup's quota.
#pragma once

#include <string>
#include <vector>

namespace breakeven {

struct UsableCpus {
  std::vector<int> ids;  // CPUs in the affinity mask, ascending
  double quota = 0;      // CPUs that the cgroup's quota allows (v2 cpu.max, v1 cfs); 0 = no quota
  unsigned threads()
      const;  // worker threads that make sense: min(ids, quota rounded up), at least 1
};

// Reads the affinity mask and the cgroup files. `root` is "/" but for tests, which bring their own
// tree (proc/self/cgroup and sys/fs/cgroup below it).
UsableCpus usable_cpus(const std::string& root = "/");

}  // namespace breakeven
