#include "measure/environment.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "base/cpus.h"
#include "testing/paths.h"

namespace breakeven::measure {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;
using ::testing::Not;

class FakeTree : public ::testing::Test {
 protected:
  void put(const std::string& file, const std::string& content) {
    const auto path = folder_.path() / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  std::string root() const { return folder_.path().string(); }

  testing::TempDir folder_;
};

using MachineTest = FakeTree;

TEST_F(MachineTest, ReadsWhatTheFilesSay) {
  std::string cpuinfo;
  for (int id = 0; id < 4; ++id) {
    cpuinfo +=
        "processor\t: " + std::to_string(id) +
        "\nmodel name\t: A Fine CPU @ 2.0GHz\nmicrocode\t: 0x2b\nphysical id\t: 0\ncore id\t: " +
        std::to_string(id / 2) +
        "\nflags\t\t: sse4_1 avx2 fma bmi2 avx512f avx512bw avx512vl avx512dq avx512cd avx512_vnni "
        "avx512_bf16 amx_tile amx_int8 amx_bf16 hypervisor\n\n";
  }
  put("proc/cpuinfo", cpuinfo);
  put("proc/meminfo", "MemTotal:  1000 kB\nMemAvailable: 400 kB\nSwapTotal: 5 kB\n");
  put("proc/sys/kernel/osrelease", "6.1.0\n");
  put("proc/self/cgroup", "0::/a/b\n");
  put("sys/fs/cgroup/a/memory.max", "600000\n");
  put("sys/fs/cgroup/a/b/memory.max", "max\n");
  put("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  put("etc/machine-id", "0123\n");
  put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  put("sys/class/dmi/id/sys_vendor", "QEMU\n");
  put("sys/devices/system/node/node0/cpulist", "0-1");
  put("sys/devices/system/node/node1/cpulist", "2-3");
  put("sys/devices/system/node/online", "0-1");
  put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  put("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
  const auto machine = read_machine(root());
  EXPECT_EQ(machine.cpu_model, "A Fine CPU @ 2.0GHz");
  EXPECT_EQ(machine.instruction_set, "avx512_core_amx");
  EXPECT_THAT(machine.cpu_flags, Contains("amx_int8"));
  EXPECT_THAT(machine.cpu_flags, Not(Contains("hypervisor")));
  EXPECT_EQ(machine.microcode, "0x2b");
  EXPECT_EQ(machine.sockets, 1U);
  EXPECT_EQ(machine.cores, 2U);
  EXPECT_EQ(machine.threads_per_core, 2U);
  EXPECT_EQ(machine.numa_nodes, 2U);
  EXPECT_EQ(machine.kernel, "6.1.0");
  EXPECT_EQ(machine.os, "Debian GNU/Linux 12 (bookworm)");
  EXPECT_EQ(machine.governor, "powersave");
  EXPECT_EQ(machine.hypervisor, "QEMU");
  EXPECT_EQ(machine.memory_bytes, 1024000U);
  EXPECT_EQ(machine.memory_limit_bytes, 600000U);
  EXPECT_EQ(machine.more.at("transparent_huge_pages"), "madvise");
  EXPECT_EQ(machine.more.at("turbo"), "off");
  EXPECT_EQ(machine.more.at("swap_bytes"), "5120");
  EXPECT_THAT(machine.hostname_hash, MatchesRegex("[0-9a-f]{12}"));
}

TEST_F(MachineTest, AnEmptyTreeIsNoError) {
  const auto machine = read_machine(root());
  EXPECT_EQ(machine.cpu_model, "");
  EXPECT_EQ(machine.memory_bytes, 0U);
  EXPECT_EQ(machine.hostname_hash, "");
  EXPECT_GE(machine.cpus_usable, 1U) << "the affinity mask is no file";
}

TEST_F(MachineTest, InstructionSetsAreToldApart) {
  const std::pair<const char*, const char*> rows[] = {
      {"sse4_1", "sse41"},
      {"sse4_1 avx2", "sse41"},  // the kernels need FMA and BMI2, too
      {"avx2 fma bmi2", "avx2"},
      {"avx2 fma bmi2 avx_vnni", "avx2_vnni"},
      {"avx2 fma bmi2 avx512f avx512bw avx512vl avx512dq avx512cd", "avx512_core"},
      {"avx512f amx_tile amx_int8 amx_bf16", ""}};
  for (const auto& [flags, expected] : rows) {
    put("proc/cpuinfo", std::string("flags : ") + flags + "\n");
    EXPECT_EQ(read_machine(root()).instruction_set, expected) << flags;
  }
}

TEST(Machine, ThisOneHasACpuAndMemory) {
  const auto machine = read_machine();
  EXPECT_NE(machine.cpu_model, "");
  EXPECT_NE(machine.kernel, "");
  EXPECT_GT(machine.memory_bytes, 1U << 27);
}

TEST(Build, KnowsItsCompilerAndCommit) {
  const auto build = read_build();
  EXPECT_THAT(build.version, MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(build.commit, MatchesRegex("[0-9a-f]{12}|unknown"));
  EXPECT_THAT(build.compiler, MatchesRegex("(GNU|Clang) [0-9.]+"));
  EXPECT_NE(build.build_type, "");
  EXPECT_THAT(build.libraries.at("highway"), MatchesRegex("[0-9.]+"));
  EXPECT_NE(build.libraries.at("glibc"), "");
}

TEST(UtcNow, IsIso8601) {
  EXPECT_THAT(utc_now(),
              MatchesRegex("20[0-9][0-9]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
}

class ConditionsTest : public FakeTree {
 protected:
  // Ticks of every usable CPU.
  void put_stat(long user, long idle, long steal) {
    const auto cpus = usable_cpus().ids;
    std::string stat = "cpu  999999 0 0 0 0 0 0 999999 0 0\n";
    for (const int id : cpus) {
      stat += "cpu" + std::to_string(id) + " " + std::to_string(user) + " 0 0 " +
              std::to_string(idle) + " 0 0 0 " + std::to_string(steal) + " 0 0\n";
    }
    stat += "cpu77777 888888 0 0 0 0 0 0 888888 0 0\nintr 5\n";  // not ours to use
    put("proc/stat", stat);
  }
  std::size_t cpus() const { return usable_cpus().ids.size(); }
  std::string cpu_folder() const {
    return "sys/devices/system/cpu/cpu" + std::to_string(usable_cpus().ids.front()) + "/";
  }
  ManualClock clock_;
  OwnUsage usage_;
};

TEST_F(ConditionsTest, SharesAreOfTheUsableCpus) {
  const long tick = ::sysconf(_SC_CLK_TCK);
  put("proc/loadavg", "1.25 0.5 0.1 1/2 3\n");
  put(cpu_folder() + "cpufreq/scaling_cur_freq", "2000000\n");
  put(cpu_folder() + "thermal_throttle/core_throttle_count", "5\n");
  put("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n");
  put("sys/class/thermal/thermal_zone0/temp", "61000\n");
  put_stat(100, 0, 0);
  ConditionsWatch watch(root(), clock_, [this](auto) { return usage_; });
  watch.start();
  clock_.advance(10);
  usage_ = {8.0 * static_cast<double>(cpus()), 3, 4, 1};
  put_stat(100 + 9 * tick, 0, tick / 2);  // each CPU: 9 s busy, of which 8 are ours; 0.5 s stolen
  put(cpu_folder() + "cpufreq/scaling_cur_freq", "1000000\n");
  put(cpu_folder() + "thermal_throttle/core_throttle_count", "7\n");
  watch.look();
  watch.stop();
  auto seen = watch.conditions();
  EXPECT_NEAR(seen.wall_s, 10, 1e-9);
  EXPECT_NEAR(seen.foreign_cpu_share, 0.1, 1e-9);
  EXPECT_NEAR(seen.steal_share, 0.05, 1e-9);
  EXPECT_EQ(seen.load_average_1m, 1.25);
  EXPECT_EQ(seen.involuntary_switches, 3U);
  EXPECT_EQ(seen.voluntary_switches, 4U);
  EXPECT_EQ(seen.major_faults, 1U);
  EXPECT_EQ(seen.cpu_mhz_min, 1000);
  EXPECT_EQ(seen.temperature_c_max, 61);
  EXPECT_EQ(seen.throttle_events, 2U);
  // A second, quiet block of the same length halves the shares; the time between does not count.
  put_stat(5000000, 0, 5000000);
  watch.start();
  clock_.advance(10);
  watch.stop();
  seen = watch.conditions();
  EXPECT_NEAR(seen.foreign_cpu_share, 0.05, 1e-9);
  EXPECT_NEAR(seen.steal_share, 0.025, 1e-9);
}

TEST_F(ConditionsTest, WhatCannotBeReadIsAbsent) {
  ConditionsWatch watch(root(), clock_, [this](auto) { return usage_; });
  watch.start();
  clock_.advance(1);
  watch.stop();
  watch.stop();  // harmless
  const auto seen = watch.conditions();
  EXPECT_FALSE(seen.cpu_mhz_median);
  EXPECT_FALSE(seen.temperature_c_max);
  EXPECT_FALSE(seen.throttle_events);
  EXPECT_EQ(seen.foreign_cpu_share, 0);
}

// Field 14 on: utime, stime, cutime, cstime; 12 and 13 are the major faults.
std::string stat_of_process(long user, long system, long user_of_children, int faults) {
  return "77 (a) b (c)) S 1 77 77 0 -1 4194560 500 600 " + std::to_string(faults) + " 1 " +
         std::to_string(user) + " " + std::to_string(system) + " " +
         std::to_string(user_of_children) + " 0 20 0 3 0 99 1000\n";
}

TEST_F(ConditionsTest, WorkersAreNotForeign) {
  const long tick = ::sysconf(_SC_CLK_TCK);
  put_stat(0, 0, 0);
  put("proc/77/stat", stat_of_process(50 * tick, 0, 0, 3));
  put("proc/77/task/77/status", "voluntary_ctxt_switches:\t10\nnonvoluntary_ctxt_switches:\t4\n");
  put("proc/77/task/78/status", "voluntary_ctxt_switches:\t90\nnonvoluntary_ctxt_switches:\t6\n");
  ConditionsWatch watch(root(), clock_, {});
  const int worker[] = {77, 99999999};
  watch.start(worker);
  clock_.advance(10);
  const auto busy = static_cast<long>(9 * cpus()) * tick;
  put("proc/77/stat", stat_of_process(50 * tick + busy - 2 * tick, tick, tick, 8));
  put("proc/77/task/77/status", "voluntary_ctxt_switches:\t15\nnonvoluntary_ctxt_switches:\t11\n");
  put_stat(9 * tick, 0, 0);
  watch.stop();
  const auto seen = watch.conditions();
  EXPECT_NEAR(seen.own_cpu_s, 9.0 * static_cast<double>(cpus()), 0.2) << "and a little of our own";
  EXPECT_EQ(seen.foreign_cpu_share, 0);
  EXPECT_GE(seen.major_faults, 5U);
  EXPECT_GE(seen.involuntary_switches, 7U);
  EXPECT_GE(seen.voluntary_switches, 5U);
  // Without the worker it is somebody else's.
  ConditionsWatch blind(root(), clock_, {});
  put_stat(0, 0, 0);
  blind.start();
  clock_.advance(10);
  put_stat(9 * tick, 0, 0);
  blind.stop();
  EXPECT_NEAR(blind.conditions().foreign_cpu_share, 0.9, 0.02);
}

// A child's time is in /proc while it lives, and in the kernel's count of our children afterwards.
TEST(Conditions, AChildThatEndsIsCountedOnce) {
  int pipe[2] = {-1, -1};
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::clock_t half = CLOCKS_PER_SEC / 2;
    while (std::clock() < half) {
    }
    char byte = 'x';
    const bool told = ::write(pipe[1], &byte, 1) == 1;
    while (std::clock() < 2 * half) {
    }
    ::_exit(told ? 0 : 1);
  }
  const int children[] = {child};
  const double before_s = own_usage(children).cpu_s;
  char byte = 0;
  ASSERT_EQ(::read(pipe[0], &byte, 1), 1);
  const double half_s = own_usage(children).cpu_s - before_s;
  EXPECT_NEAR(half_s, 0.5, 0.15);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_NEAR(own_usage(children).cpu_s - before_s, 1.0, 0.15);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(Conditions, OwnWorkIsNotForeign) {
  const OwnUsage before = own_usage();
  double sum = 0;
  for (int i = 1; i < 20000000; ++i) sum += 1.0 / i;
  EXPECT_GT(sum, 1);
  EXPECT_GT(own_usage().cpu_s, before.cpu_s);
}

}  // namespace
}  // namespace breakeven::measure
