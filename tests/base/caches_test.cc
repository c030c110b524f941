#include "base/caches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "testing/paths.h"

namespace breakeven {
namespace {

using ::testing::IsEmpty;

void write_cache(const std::filesystem::path& root, int cpu, int index, const std::string& level,
                 const std::string& type, const std::string& size, const std::string& shared) {
  const std::filesystem::path folder = root / "sys/devices/system/cpu" /
                                       ("cpu" + std::to_string(cpu)) / "cache" /
                                       ("index" + std::to_string(index));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "level") << level << "\n";
  std::ofstream(folder / "type") << type << "\n";
  std::ofstream(folder / "size") << size << "\n";
  std::ofstream(folder / "shared_cpu_list") << shared << "\n";
}

TEST(CpuCaches, CountsEachInstanceOnce) {
  const testing::TempDir root;
  for (int cpu = 0; cpu < 4; ++cpu) {
    // Two cores with two hardware threads each; Linux numbers the siblings far apart.
    const std::string core = cpu % 2 == 0 ? "0,2" : "1,3";
    write_cache(root.path(), cpu, 0, "1", "Data", "48K", core);
    write_cache(root.path(), cpu, 1, "2", "Unified", "2048K", core);
    write_cache(root.path(), cpu, 2, "3", "Unified", "105M", "0-3");
  }
  std::filesystem::create_directories(root / "sys/devices/system/cpu/cpufreq");  // not a CPU
  const std::vector<CpuCache> caches = cpu_caches(root.path().string());
  ASSERT_EQ(caches.size(), 3U);
  EXPECT_EQ(caches[0].level, 1U);
  EXPECT_EQ(caches[0].type, "Data");
  EXPECT_EQ(caches[0].bytes, 48U << 10);
  EXPECT_EQ(caches[0].count, 2U);
  EXPECT_EQ(caches[0].shared_by, 2U);
  EXPECT_EQ(caches[2].bytes, 105U << 20);
  EXPECT_EQ(caches[2].count, 1U);
  EXPECT_EQ(caches[2].shared_by, 4U);
}

TEST(CpuCaches, WhatCannotBeReadIsLeftOut) {
  const testing::TempDir root;
  EXPECT_THAT(cpu_caches(root.path().string()), IsEmpty());
  write_cache(root.path(), 0, 0, "1", "Data", "many", "0");
  write_cache(root.path(), 0, 1, "x", "Data", "48K", "0");
  write_cache(root.path(), 0, 2, "2", "Unified", "1M", "");
  EXPECT_THAT(cpu_caches(root.path().string()), IsEmpty());
}

}  // namespace
}  // namespace breakeven
