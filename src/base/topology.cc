#include "base/topology.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string_view>

#include "base/files.h"

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
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data() || value < 0) return std::nullopt;
  return value;
}

// "0-3,8" -> {0, 1, 2, 3, 8}; empty for anything else.
std::set<int> id_list(std::string_view text) {
  std::set<int> ids;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const auto dash = part.find('-');
    const auto first = number(part);
    const auto last = dash == part.npos ? first : number(part.substr(dash + 1));
    if (!first || !last) return {};
    for (int id = *first; id <= *last; ++id) ids.insert(id);
  }
  return ids;
}

// The node of each CPU, and which nodes have memory of their own.
void read_nodes(const path& folder, CpuTopology& topology) {
  for (const path& entry : entries_of(folder)) {
    const std::string name = entry.filename().string();
    const auto node =
        name.starts_with("node") ? number(std::string_view(name).substr(4)) : std::nullopt;
    if (!node) continue;
    const std::set<int> members = id_list(first_line(entry / "cpulist"));
    for (LogicalCpu& cpu : topology.cpus) {
      if (members.contains(cpu.id)) cpu.node = *node;
    }
    // "Node 0 MemTotal:       131072 kB"
    const std::string memory = first_line(entry / "meminfo");
    const auto colon = memory.find(':');
    const auto digits = colon == memory.npos ? colon : memory.find_first_of("0123456789", colon);
    if (digits != memory.npos && number(std::string_view(memory).substr(digits)).value_or(1) > 0) {
      topology.memory_nodes.push_back(*node);
    }
  }
  std::ranges::sort(topology.memory_nodes);
}

}  // namespace

CpuTopology read_topology(const std::vector<int>& allowed, const std::string& root) {
  const path system = path(root) / "sys/devices/system";
  CpuTopology topology;
  const std::set<int> online = id_list(first_line(system / "cpu/online"));
  // Of a hybrid processor the kernel lists both kinds as devices of their own.
  const std::set<int> small = id_list(first_line(path(root) / "sys/devices/cpu_atom/cpus"));
  for (const int id : allowed) {
    if (!online.empty() && !online.contains(id)) continue;
    LogicalCpu cpu;
    cpu.id = id;
    cpu.efficient = small.contains(id);
    const path folder = system / "cpu" / ("cpu" + std::to_string(id)) / "topology";
    std::set<int> siblings = id_list(first_line(folder / "core_cpus_list"));
    if (siblings.empty()) siblings = id_list(first_line(folder / "thread_siblings_list"));
    cpu.core = siblings.empty() ? id : *siblings.begin();
    topology.cpus.push_back(cpu);
  }
  read_nodes(system / "node", topology);
  if (topology.memory_nodes.empty()) topology.memory_nodes = {0};
  return topology;
}

}  // namespace breakeven
