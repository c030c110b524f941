#include "base/topology.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "base/numbers.h"

namespace breakeven {
namespace {

using std::filesystem::path;

std::string first_line(const path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::optional<int> number(std::string_view text) {
  const auto value = parse_number<int>(text);
  return value.value_or(-1) < 0 ? std::nullopt : value;
}

// The node of each CPU, and which nodes have memory of their own.
void read_nodes(const path& folder, CpuTopology& topology) {
  for (const path& entry : entries_of(folder)) {
    const std::string name = entry.filename().string();
    const auto node =
        name.starts_with("node") ? number(std::string_view(name).substr(4)) : std::nullopt;
    if (!node) continue;
    const std::set<int> members = parse_cpu_list(first_line(entry / "cpulist"));
    for (LogicalCpu& cpu : topology.cpus) {
      if (members.contains(cpu.id)) cpu.node = *node;
    }
    // "Node 0 MemTotal:       131072 kB"
    std::ifstream memory(entry / "meminfo");
    std::string word;
    double kilobytes = 0;
    memory >> word >> word >> word >> kilobytes;
    if (kilobytes > 0) topology.memory_nodes.push_back(*node);
  }
  std::ranges::sort(topology.memory_nodes);
}

}  // namespace

std::set<int> parse_cpu_list(std::string_view text) {
  std::set<int> ids;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const auto dash = part.find('-');
    const auto first = number(part.substr(0, dash));
    const auto last = dash == part.npos ? first : number(part.substr(dash + 1));
    if (!first || !last) return {};
    for (int id = *first; id <= *last; ++id) ids.insert(id);
  }
  return ids;
}

CpuTopology read_topology(const std::vector<int>& allowed, const std::string& root) {
  const path system = path(root) / "sys/devices/system";
  CpuTopology topology;
  const std::set<int> online = parse_cpu_list(first_line(system / "cpu/online"));
  // Of a hybrid processor the kernel lists both kinds as devices of their own.
  const std::set<int> small = parse_cpu_list(first_line(path(root) / "sys/devices/cpu_atom/cpus"));
  for (const int id : allowed) {
    if (!online.empty() && !online.contains(id)) continue;
    LogicalCpu cpu;
    cpu.id = id;
    cpu.efficient = small.contains(id);
    const path folder = system / "cpu" / ("cpu" + std::to_string(id)) / "topology";
    std::set<int> siblings = parse_cpu_list(first_line(folder / "core_cpus_list"));
    if (siblings.empty()) siblings = parse_cpu_list(first_line(folder / "thread_siblings_list"));
    cpu.core = siblings.empty() ? id : *siblings.begin();
    topology.cpus.push_back(cpu);
  }
  read_nodes(system / "node", topology);
  if (topology.memory_nodes.empty()) topology.memory_nodes = {0};
  return topology;
}

}  // namespace breakeven
