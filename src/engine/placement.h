// Where threads and memory go on this machine (docs/decisions/0016): one thread a physical core,
// teams that stay on one memory node, weights spread over the nodes. Pure planning over a topology;
// the guards below carry it out.
#pragma once

#include <sched.h>

#include <cstddef>
#include <string>
#include <vector>

#include "base/topology.h"

namespace breakeven::engine {

// CPUs of one memory node that threads run on.
struct NodeShare {
  int node = 0;
  std::vector<int> cpus;  // all hardware threads of the cores used
  unsigned threads = 0;   // of ours
};

struct Placement {
  std::vector<NodeShare> nodes;  // in the order in which threads fill them
  bool pinned = false;           // threads are held on their node: only where there are several
  bool interleaved = false;      // weights are spread over the nodes' memory

  unsigned threads() const;
  // Which of `nodes` thread number `thread` of a stream belongs to.
  std::size_t node_of(unsigned thread) const;
  // "16 threads on 16 cores, 2 nodes of 8, weights interleaved".
  std::string describe() const;
};

// Threads that make sense: one a physical core (of the large ones, where there are two kinds), not
// more than the quota rounded up, at least one.
unsigned sensible_threads(const CpuTopology& topology, double quota);

// The same for this process on this machine.
unsigned default_threads();

// `threads` threads, spread evenly over nodes that have memory; a node without memory takes part
// only when no other has CPUs. More threads than cores share them.
Placement place(const CpuTopology& topology, unsigned threads);

// Holds the calling thread on these CPUs for good. Does nothing for an empty list, and where the
// kernel forbids it.
void stay_on(const std::vector<int>& cpus);

// Holds the calling thread, and every thread that it makes meanwhile, on these CPUs until
// it goes.
class OnCpus {
 public:
  explicit OnCpus(const std::vector<int>& cpus);
  OnCpus(const OnCpus&) = delete;
  OnCpus& operator=(const OnCpus&) = delete;
  ~OnCpus();

 private:
  cpu_set_t before_;
  bool held_ = false;
};

// Memory that the calling thread touches for the first time is spread over all nodes meanwhile.
class InterleavedMemory {
 public:
  explicit InterleavedMemory(const Placement& placement);
  InterleavedMemory(const InterleavedMemory&) = delete;
  InterleavedMemory& operator=(const InterleavedMemory&) = delete;
  ~InterleavedMemory();

 private:
  bool on_ = false;
};

}  // namespace breakeven::engine
