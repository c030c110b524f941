// Which CPUs share a core and a memory node, as the kernel describes them.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// CPUs as the kernel lists them: "0-3,8" -> {0, 1, 2, 3, 8}; empty for anything else.
std::set<int> parse_cpu_list(std::string_view text);

struct LogicalCpu {
  int id = 0;
  int core = 0;            // the same for the hardware threads of one core; unique on the machine
  int node = 0;            // its NUMA node
  bool efficient = false;  // a small core beside large ones
};

struct CpuTopology {
  std::vector<LogicalCpu> cpus;   // online and allowed, by id
  std::vector<int> memory_nodes;  // nodes that have memory, ascending; one at least
};

// What sysfs says of those of the `allowed` CPUs that are online. Where it says nothing (some
// containers) each CPU is a core of its own, on one node. `root` is "/" but for tests.
CpuTopology read_topology(const std::vector<int>& allowed, const std::string& root = "/");

}  // namespace breakeven
