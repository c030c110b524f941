#include "engine/placement.h"

#include <fmt/format.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.h"
#include "base/cpus.h"

namespace breakeven::engine {
namespace {

// Hardware threads by core; the cores of one node.
using Cores = std::map<int, std::vector<int>>;

// Small cores would hold a team up at every op: they are left out beside large ones.
bool takes_part(const CpuTopology& topology, const LogicalCpu& cpu) {
  const bool has_large =
      std::ranges::any_of(topology.cpus, [](const LogicalCpu& other) { return !other.efficient; });
  return !has_large || !cpu.efficient;
}

bool hold(const std::vector<int>& cpus) {
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  for (const int cpu : cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(static_cast<std::size_t>(cpu), &wanted);
  }
  return sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
}

std::map<int, Cores> cores_by_node(const CpuTopology& topology) {
  std::map<int, Cores> with_memory, all;
  for (const LogicalCpu& cpu : topology.cpus) {
    if (!takes_part(topology, cpu)) continue;
    all[cpu.node][cpu.core].push_back(cpu.id);
    if (std::ranges::find(topology.memory_nodes, cpu.node) != topology.memory_nodes.end()) {
      with_memory[cpu.node][cpu.core].push_back(cpu.id);
    }
  }
  return with_memory.empty() ? all : with_memory;
}

}  // namespace

unsigned Placement::threads() const {
  unsigned sum = 0;
  for (const NodeShare& node : nodes) sum += node.threads;
  return sum;
}

std::size_t Placement::node_of(unsigned thread) const {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (thread < nodes[i].threads) return i;
    thread -= nodes[i].threads;
  }
  return nodes.size() - 1;
}

std::string Placement::describe() const {
  const unsigned count = threads();
  std::string text = fmt::format("{} thread{} on {} node{}", count, count == 1 ? "" : "s",
                                 nodes.size(), nodes.size() == 1 ? "" : "s");
  if (pinned) text += ", each held on its node";
  if (interleaved) text += ", weights interleaved";
  return text;
}

unsigned sensible_threads(const CpuTopology& topology, double quota) {
  std::size_t cores = 0;
  for (const auto& [node, of_node] : cores_by_node(topology)) cores += of_node.size();
  auto threads = static_cast<unsigned>(std::max<std::size_t>(1, cores));
  if (quota > 0) {
    threads = std::min(threads, static_cast<unsigned>(std::max(1.0, std::ceil(quota))));
  }
  return threads;
}

unsigned default_threads() {
  const UsableCpus cpus = usable_cpus();
  return sensible_threads(read_topology(cpus.ids), cpus.quota);
}

Placement place(const CpuTopology& topology, unsigned threads) {
  BREAKEVEN_CHECK(threads >= 1, "threads={}", threads);
  const std::map<int, Cores> nodes = cores_by_node(topology);
  Placement placement;
  // Few threads need no second node: all of them then share one node's cache and memory.
  std::vector<std::pair<int, const Cores*>> by_size;
  std::size_t cores = 0;
  by_size.reserve(nodes.size());
  for (const auto& [node, of_node] : nodes) by_size.emplace_back(node, &of_node);
  std::ranges::stable_sort(
      by_size, [](const auto& a, const auto& b) { return a.second->size() > b.second->size(); });
  std::size_t used = 0;
  while (used < by_size.size() && cores < threads) cores += by_size[used++].second->size();
  by_size.resize(used);
  std::size_t cores_left = cores;
  unsigned threads_left = threads;
  for (const auto& [node, of_node] : by_size) {
    NodeShare share;
    share.node = node;
    for (const auto& [core, cpus] : *of_node) {
      share.cpus.insert(share.cpus.end(), cpus.begin(), cpus.end());
    }
    std::ranges::sort(share.cpus);
    // In proportion to its cores; what rounding leaves goes to the nodes that follow.
    share.threads = static_cast<unsigned>(threads_left * of_node->size() / cores_left);
    cores_left -= of_node->size();
    threads_left -= share.threads;
    if (share.threads > 0) placement.nodes.push_back(std::move(share));
  }
  if (placement.nodes.empty()) placement.nodes.push_back({0, {}, threads});
  placement.pinned = nodes.size() > 1;
  placement.interleaved = placement.nodes.size() > 1;
  return placement;
}

void stay_on(const std::vector<int>& cpus) {
  if (!cpus.empty()) (void)hold(cpus);
}

OnCpus::OnCpus(const std::vector<int>& cpus) {
  if (cpus.empty() || sched_getaffinity(0, sizeof(before_), &before_) != 0) return;
  held_ = hold(cpus);
}

OnCpus::~OnCpus() {
  if (held_) sched_setaffinity(0, sizeof(before_), &before_);
}

InterleavedMemory::InterleavedMemory(const Placement& placement) {
  if (!placement.interleaved) return;
  unsigned long mask = 0;
  constexpr int kMostNodes = 8 * static_cast<int>(sizeof(mask));
  for (const NodeShare& node : placement.nodes) {
    if (node.node < kMostNodes) mask |= 1UL << static_cast<unsigned>(node.node);
  }
  // The kernel counts one bit more than it reads.
  on_ = ::syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &mask, kMostNodes + 1) == 0;
}

InterleavedMemory::~InterleavedMemory() {
  if (on_) ::syscall(SYS_set_mempolicy, MPOL_DEFAULT, nullptr, 0);
}

}  // namespace breakeven::engine
