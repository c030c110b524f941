// Where threads and memory go, on machines that are only a tree of files.
#include "engine/placement.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>

#include "base/cpus.h"
#include "testing/paths.h"

namespace breakeven::engine {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<int> range(int first, int count) {
  std::vector<int> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// A machine's /sys, as its kernel would write it.
class Sysfs {
 public:
  void online(const std::string& list) { write("sys/devices/system/cpu/online", list); }
  void core(std::initializer_list<int> cpus) {
    std::string list;
    for (const int cpu : cpus) list += (list.empty() ? "" : ",") + std::to_string(cpu);
    for (const int cpu : cpus) {
      write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/core_cpus_list", list);
    }
  }
  void node(int id, const std::string& cpus, std::uint64_t kilobytes = 1 << 20) {
    const std::string folder = "sys/devices/system/node/node" + std::to_string(id) + "/";
    write(folder + "cpulist", cpus);
    write(folder + "meminfo",
          "Node " + std::to_string(id) + " MemTotal:       " + std::to_string(kilobytes) + " kB");
  }
  void small_cores(const std::string& list) { write("sys/devices/cpu_atom/cpus", list); }
  CpuTopology read(const std::vector<int>& allowed) const {
    return read_topology(allowed, root_.path().string());
  }

 private:
  void write(const std::string& name, const std::string& content) {
    const auto file = root_.path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content << "\n";
  }
  std::shared_ptr<breakeven::testing::TempDir> shared_root_ =
      std::make_shared<breakeven::testing::TempDir>();
  breakeven::testing::TempDir& root_ = *shared_root_;
};

// Two sockets of 16 cores with two hardware threads each, numbered as Linux does.
Sysfs two_sockets() {
  Sysfs sysfs;
  sysfs.online("0-63");
  for (int core = 0; core < 32; ++core) sysfs.core({core, core + 32});
  sysfs.node(0, "0-15,32-47");
  sysfs.node(1, "16-31,48-63");
  return sysfs;
}

TEST(Placement, OneCore) {
  Sysfs sysfs;
  sysfs.online("0");
  sysfs.core({0});
  sysfs.node(0, "0");
  const CpuTopology topology = sysfs.read({0});
  EXPECT_EQ(sensible_threads(topology, 0), 1U);
  const Placement placement = place(topology, 1);
  EXPECT_EQ(placement.describe(), "1 thread on 1 node");
  EXPECT_FALSE(placement.pinned || placement.interleaved);
}

TEST(Placement, OneNodeIsLeftToTheKernel) {
  Sysfs sysfs;
  sysfs.online("0-7");
  for (int core = 0; core < 8; ++core) sysfs.core({core});
  sysfs.node(0, "0-7");
  for (const int cores : {2, 8}) {
    const CpuTopology topology = sysfs.read(range(0, cores));
    const auto threads = static_cast<unsigned>(cores);
    EXPECT_EQ(sensible_threads(topology, 0), threads);
    const Placement placement = place(topology, threads);
    EXPECT_FALSE(placement.pinned || placement.interleaved);
    EXPECT_EQ(placement.nodes.front().threads, threads);
  }
}

TEST(Placement, TwoSocketsWithHyperthreads) {
  const CpuTopology topology = two_sockets().read(range(0, 64));
  EXPECT_EQ(sensible_threads(topology, 0), 32U) << "one a physical core";
  const Placement all = place(topology, 32);
  ASSERT_EQ(all.nodes.size(), 2U);
  EXPECT_EQ(all.describe(), "32 threads on 2 nodes, each held on its node, weights interleaved");
  EXPECT_EQ(all.nodes[0].threads, 16U);
  EXPECT_EQ(all.nodes[1].threads, 16U);
  EXPECT_EQ(all.nodes[1].cpus.front(), 16);
  EXPECT_EQ(all.nodes[1].cpus.size(), 32U);
  EXPECT_EQ(all.node_of(0), 0U);
  EXPECT_EQ(all.node_of(15), 0U);
  EXPECT_EQ(all.node_of(16), 1U);
  EXPECT_EQ(all.node_of(31), 1U);

  const Placement few = place(topology, 8);
  ASSERT_EQ(few.nodes.size(), 1U) << "few threads share one node's memory";
  EXPECT_TRUE(few.pinned);
  EXPECT_FALSE(few.interleaved);

  const Placement odd = place(topology, 21);
  EXPECT_EQ(odd.nodes[0].threads, 10U);
  EXPECT_EQ(odd.nodes[1].threads, 11U);
  EXPECT_EQ(place(topology, 64).threads(), 64U) << "asked for: hardware threads, too";
}

TEST(Placement, AnAffinityMaskWithinOneSocket) {
  const CpuTopology topology = two_sockets().read({16, 17, 48, 49});
  EXPECT_EQ(sensible_threads(topology, 0), 2U);
  const Placement placement = place(topology, 2);
  EXPECT_FALSE(placement.pinned) << "the mask holds them already";
  EXPECT_EQ(placement.nodes[0].node, 1);
  EXPECT_THAT(placement.nodes[0].cpus, ElementsAre(16, 17, 48, 49));
}

TEST(Placement, AContainersQuotaIsBelowItsCores) {
  const CpuTopology topology = two_sockets().read(range(0, 64));
  EXPECT_EQ(sensible_threads(topology, 3.5), 4U);
  EXPECT_EQ(sensible_threads(topology, 0.5), 1U);
  EXPECT_EQ(sensible_threads(topology, 50), 32U);
}

TEST(Placement, ANodeWithoutMemoryTakesNoPart) {
  Sysfs sysfs = two_sockets();
  sysfs.node(1, "16-31,48-63", 0);
  const CpuTopology topology = sysfs.read(range(0, 64));
  EXPECT_THAT(topology.memory_nodes, ElementsAre(0));
  EXPECT_EQ(sensible_threads(topology, 0), 16U);
  EXPECT_EQ(place(topology, 16).nodes.size(), 1U);
  // Unless there is nowhere else to run.
  const CpuTopology there = sysfs.read(range(16, 16));
  EXPECT_EQ(sensible_threads(there, 0), 16U);
  EXPECT_EQ(place(there, 16).nodes[0].node, 1);
}

TEST(Placement, MemoryWithoutCpusIsNoPlaceForThreads) {
  Sysfs sysfs = two_sockets();
  sysfs.node(2, "");
  const Placement placement = place(sysfs.read(range(0, 64)), 32);
  EXPECT_EQ(placement.nodes.size(), 2U);
}

TEST(Placement, OfflineCpusDoNotCount) {
  Sysfs sysfs = two_sockets();
  sysfs.online("0-7,16-19,32-39,48-51");
  const CpuTopology topology = sysfs.read(range(0, 64));
  EXPECT_EQ(sensible_threads(topology, 0), 12U);
  const Placement placement = place(topology, 12);
  EXPECT_EQ(placement.nodes[0].threads, 8U) << "in proportion to the cores";
  EXPECT_EQ(placement.nodes[1].threads, 4U);
}

TEST(Placement, SmallCoresAreLeftOutBesideLargeOnes) {
  Sysfs sysfs;
  sysfs.online("0-11");
  for (const int core : {0, 2, 4, 6}) sysfs.core({core, core + 1});
  for (const int core : {8, 9, 10, 11}) sysfs.core({core});
  sysfs.small_cores("8-11");
  sysfs.node(0, "0-11");
  const CpuTopology topology = sysfs.read(range(0, 12));
  EXPECT_EQ(sensible_threads(topology, 0), 4U);
  EXPECT_THAT(place(topology, 4).nodes[0].cpus, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(sensible_threads(sysfs.read(range(8, 4)), 0), 4U)
      << "small ones alone are all there is";
}

TEST(Placement, AMachineThatTellsNothing) {
  const CpuTopology topology = Sysfs().read({3, 5});
  EXPECT_THAT(topology.memory_nodes, ElementsAre(0));
  EXPECT_EQ(sensible_threads(topology, 0), 2U);
  EXPECT_FALSE(place(topology, 2).pinned);
  EXPECT_EQ(sensible_threads(Sysfs().read({}), 0), 1U);
  EXPECT_EQ(place(Sysfs().read({}), 3).threads(), 3U);
}

TEST(Placement, GuardsHoldAThreadAndLetItGo) {
  const std::vector<int> before = usable_cpus().ids;
  {
    const OnCpus here({before.back()});
    EXPECT_THAT(usable_cpus().ids, ElementsAre(before.back()));
  }
  EXPECT_EQ(usable_cpus().ids, before);
  {
    const OnCpus anywhere({});
    EXPECT_EQ(usable_cpus().ids, before);
    Placement spread;
    spread.interleaved = true;
    spread.nodes = {{0, {}, 1}};
    const InterleavedMemory memory(spread);  // may be forbidden here; memory works all the same
    const std::vector<char> touched(1 << 20, 'x');
    EXPECT_THAT(std::string(touched.begin(), touched.begin() + 16), Each('x'));
  }
}

}  // namespace
}  // namespace breakeven::engine
