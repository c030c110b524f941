// Tests of base/: units, files, limits, CPU counting, the thread team.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>
#include <vector>

#include "base/content_hash.h"
#include "base/cpus.h"
#include "base/files.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/thread_team.h"
#include "base/units.h"
#include "base/unwritable.h"
#include "testing/nobody.h"
#include "testing/paths.h"

namespace breakeven {
namespace {

TEST(Units, ThreeDigitsNeverPrintsZeroForSomething) {
  EXPECT_EQ(three_digits(0), "0");
  EXPECT_EQ(three_digits(5e-324), "4.94e-324");
  EXPECT_EQ(three_digits(1.2345), "1.23");
  EXPECT_EQ(three_digits(9.999), "10.0");
  EXPECT_EQ(three_digits(99.96), "100");
  EXPECT_EQ(three_digits(999.6), "1,000");
  EXPECT_EQ(three_digits(1234567), "1,230,000");
  EXPECT_EQ(three_digits(9.99e14), "999,000,000,000,000");
  EXPECT_EQ(three_digits(9.999e14), "1.00e+15");
  EXPECT_EQ(three_digits(-1e29), "-1.00e+29");
  EXPECT_EQ(three_digits(0.00123), "0.00123");
  EXPECT_EQ(three_digits(0.0000012), "1.20e-06");
  EXPECT_EQ(three_digits(-12.34), "-12.3");
  EXPECT_EQ(three_digits(std::nan("")), "-");
}

TEST(Units, DurationsNeedANumberAndAKnownUnit) {
  EXPECT_DOUBLE_EQ(*parse_duration("3m"), 180);
  EXPECT_DOUBLE_EQ(*parse_duration("250ms"), 0.25);
  EXPECT_DOUBLE_EQ(*parse_duration("10"), 10);
  for (const char* wrong : {"", "m", "-3s", "0", "3x", "nan", "inf", "3 m"}) {
    const auto parsed = parse_duration(wrong);
    ASSERT_FALSE(parsed.has_value()) << wrong;
    EXPECT_EQ(parsed.error().code, "units/duration");
  }
}

TEST(Files, WhatStandsAtAPathIsSaidWithoutThrowing) {
  const testing::TempDir folder;
  std::ofstream(folder / "file") << "x";
  EXPECT_EQ(look_at(folder.path()).value(), PathKind::folder);
  EXPECT_EQ(look_at(folder / "file").value(), PathKind::file);
  EXPECT_EQ(look_at(folder / "none").value(), PathKind::nothing);
  EXPECT_EQ(look_at(folder / "file/below").value(), PathKind::nothing);
  EXPECT_EQ(look_at(std::string(5000, 'a')).value(), PathKind::nothing);
  EXPECT_EQ(look_at("").value(), PathKind::nothing);
  EXPECT_THAT(list_folder(folder.path()).value(), ::testing::ElementsAre(folder / "file"));
  EXPECT_EQ(list_folder(folder / "none").error().code, "file/unreadable");
  EXPECT_TRUE(entries_of(folder / "none").empty());
}

TEST(Files, AClosedFolderIsAnErrorAndNotNothing) {
  const testing::TempDir folder;
  std::filesystem::create_directory(folder / "closed");
  std::ofstream(folder / "closed/file") << "x";
  std::filesystem::permissions(folder.path(), std::filesystem::perms::others_all);
  std::filesystem::permissions(folder / "closed", std::filesystem::perms::none);
  {
    BREAKEVEN_AS_NOBODY();
    const auto inside = look_at(folder / "closed/file");
    ASSERT_FALSE(inside);
    EXPECT_EQ(inside.error().code, "file/unreadable");
    EXPECT_THAT(inside.error().message, ::testing::HasSubstr("closed/file: Permission denied"));
    EXPECT_FALSE(is_there(folder / "closed/file"));
    EXPECT_EQ(list_folder(folder / "closed").error().code, "file/unreadable");
    EXPECT_EQ(read_file(folder / "closed/file").error().code, "file/unreadable");
  }
  std::filesystem::permissions(folder / "closed", std::filesystem::perms::owner_all);
}

TEST(Files, TheAdviceFitsTheReason) {
  const testing::TempDir folder;
  const auto hint = [](const std::string& path) {
    const auto written = write_file_atomic(path, "x");
    EXPECT_EQ(written.error().code, "file/unwritable");
    return written.error().hint;
  };
  EXPECT_THAT(hint(folder / "none/file"), ::testing::StartsWith("make its folder first"));
  std::filesystem::create_directory(folder / "folder");
  EXPECT_THAT(hint(folder / "folder"), ::testing::StartsWith("it is a folder"));
  EXPECT_THAT(unwritable("file", ENOSPC).value().hint, ::testing::StartsWith("free some space"));
  EXPECT_THAT(unwritable("file", EACCES).value().hint, ::testing::HasSubstr("you may write to"));
}

TEST(Files, WritingIsAllOrNothing) {
  const testing::TempDir folder;
  const std::string path = (folder / "a").string();
  ASSERT_TRUE(write_file_atomic(path, "first"));
  ASSERT_TRUE(write_file_atomic(path, "second"));
  EXPECT_EQ(*read_file(path), "second");
  EXPECT_EQ(write_file_atomic((folder / "no/where").string(), "x").error().code, "file/unwritable");
  // Nothing temporary is left behind.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Files, EveryReadErrorHasItsName) {
  const testing::TempDir folder;
  EXPECT_EQ(read_file((folder / "none").string()).error().code, "file/missing");
  EXPECT_EQ(read_file(folder.path().string()).error().code, "file/not-a-file");
  std::ofstream(folder / "empty");
  EXPECT_EQ(*read_file((folder / "empty").string()), "");
}

TEST(Files, AFullDiskIsAnErrorAndLosesNothing) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "SKIPPED: no /dev/full";
  // A write to /dev/full fails with ENOSPC; the atomic writer goes through a temporary file, so its
  // folder is what has to be full: a folder that does not take files stands for that here.
  EXPECT_EQ(write_file_atomic("/proc/breakeven", "x").error().code, "file/unwritable");
}

TEST(Limits, ComeFromTheTable) {
  EXPECT_DOUBLE_EQ(limit("model/bf16/flips_share"), 0.003);
  EXPECT_DEATH(limit("no/such"), "no row no/such");
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(Cpus, QuotaOfEveryLevelCounts) {
  const testing::TempDir root;
  write(root / "proc/self/cgroup", "0::/a/b\n");
  write(root / "sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  write(root / "sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  UsableCpus cpus = usable_cpus(root.path().string());
  EXPECT_DOUBLE_EQ(cpus.quota, 1.5);
  cpus.ids = {0, 1, 2, 3};
  EXPECT_EQ(cpus.threads(), 2U);
  cpus.quota = 0;
  EXPECT_EQ(cpus.threads(), 4U);
}

TEST(Cpus, CgroupV1IsRead) {
  const testing::TempDir root;
  write(root / "proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/c\n");
  write(root / "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "50000\n");
  write(root / "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
  const UsableCpus cpus = usable_cpus(root.path().string());
  EXPECT_DOUBLE_EQ(cpus.quota, 0.5);
  EXPECT_EQ(cpus.threads(), 1U);
}

TEST(Memory, TheTightestLimitCounts) {
  const testing::TempDir root;
  write(root / "proc/meminfo", "MemTotal:  2000 kB\nMemAvailable:  1000 kB\n");
  EXPECT_EQ(available_memory_bytes(root.path().string()), 1000U * 1024);
  write(root / "proc/self/cgroup", "0::/a/b\n");
  write(root / "sys/fs/cgroup/a/memory.max", "5000\n");
  write(root / "sys/fs/cgroup/a/memory.current", "2000\n");
  write(root / "sys/fs/cgroup/a/b/memory.max", "max\n");
  EXPECT_EQ(available_memory_bytes(root.path().string()), 3000U);
  write(root / "sys/fs/cgroup/a/memory.current", "9000\n");
  EXPECT_EQ(available_memory_bytes(root.path().string()), 0U);
  // A file that was read lies in the page cache, and is given up when memory is asked for.
  write(root / "sys/fs/cgroup/a/memory.stat", "anon 5000\nfile 4500\ninactive_file 4400\n");
  EXPECT_EQ(available_memory_bytes(root.path().string()), 400U);
  write(root / "sys/fs/cgroup/a/memory.stat", "inactive_file 0\ntotal_inactive_file 99999\n");
  EXPECT_EQ(available_memory_bytes(root.path().string()), 5000U);
  EXPECT_EQ(total_memory_bytes(root.path().string()), 5000U);
  write(root / "sys/fs/cgroup/a/memory.max", "max\n");
  EXPECT_EQ(total_memory_bytes(root.path().string()), 2000U * 1024);
  write(root / "proc/self/cgroup", "5:memory:/m\n");
  write(root / "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(total_memory_bytes(root.path().string()), 2000U * 1024);
  write(root / "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "6000\n");
  EXPECT_EQ(total_memory_bytes(root.path().string()), 6000U);
}

TEST(Memory, ALimitOfTheProcessItselfIsNamed) {
  const testing::TempDir root;
  const std::string place = root.path().string();
  write(root / "proc/meminfo", "MemTotal:  2000000 kB\nMemAvailable:  1000000 kB\n");
  EXPECT_EQ(memory_left(place).bytes, 1'024'000'000U);
  EXPECT_EQ(memory_left(place).to_string(), "1.02 GB are free");
  EXPECT_EQ(memory_left(place).advice(), "close other programs");
  write(root / "proc/self/status", "Name:\tx\nVmSize:\t  100000 kB\nVmData:\t  10000 kB\n");
  write(root / "proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units\n"
        "Max data size             unlimited            unlimited            bytes\n"
        "Max address space         266240000            unlimited            bytes\n");
  EXPECT_EQ(memory_left(place).bytes, 266'240'000U - 102'400'000U);
  EXPECT_EQ(memory_left(place).to_string(),
            "164 MB are free (`ulimit -v` lets this process have 266 MB, and 102 MB are taken)");
  EXPECT_THAT(memory_left(place).advice(), ::testing::HasSubstr("ulimit -v unlimited"));
  write(root / "proc/self/limits",
        "Max data size             5000000            unlimited   bytes\n");
  EXPECT_EQ(memory_left(place).bytes, 0U);
  EXPECT_THAT(memory_left(place).to_string(), ::testing::HasSubstr("`ulimit -d`"));
}

TEST(ThreadTeam, EveryMemberRunsOncePerRun) {
  for (const unsigned size : {1U, 2U, 5U}) {
    std::atomic<unsigned> started{0};
    std::vector<int> counts(size, 0);
    {
      ThreadTeam team(size, [&](unsigned) { ++started; });
      for (int run = 0; run < 200; ++run) team.run([&](unsigned member) { ++counts[member]; });
    }
    EXPECT_THAT(counts, ::testing::Each(200));
    EXPECT_EQ(started, size - 1);
  }
}

// Guests come while runs go on; each counts in every run from its admission to the close.
TEST(ThreadTeam, GuestsTakePartUntilTheyAreSentAway) {
  constexpr unsigned kGuests = 3;
  ThreadTeam team(2, {}, kGuests);
  EXPECT_FALSE(team.help()) << "not open yet";
  for (int session = 0; session < 50; ++session) {
    team.open();
    std::atomic<unsigned> helped{0};
    std::vector<std::thread> guests;
    for (unsigned i = 0; i < kGuests + 1; ++i) {
      guests.emplace_back([&] { helped += team.help() ? 1 : 0; });
    }
    std::vector<std::atomic<int>> counts(2 + kGuests);
    std::vector<int> expected(counts.size(), 0);
    // Until all who fit have come.
    for (unsigned size = 2; size < 2 + kGuests;) {
      size = team.admit();
      EXPECT_EQ(team.size(), size);
      team.run([&](unsigned member) { ++counts[member]; });
      for (unsigned member = 0; member < size; ++member) ++expected[member];
    }
    team.run([&](unsigned member) { ++counts[member]; }, 3);
    for (unsigned member = 0; member < 3; ++member) ++expected[member];
    team.close();
    for (std::thread& guest : guests) guest.join();
    for (std::size_t member = 0; member < counts.size(); ++member) {
      EXPECT_EQ(counts[member], expected[member]) << member;
    }
    EXPECT_EQ(helped, kGuests);
    EXPECT_EQ(team.size(), 2U);
  }
  EXPECT_FALSE(team.help()) << "closed again";
}

TEST(ContentHash, KnownAnswers) {
  // FIPS 180-4's example, in two pieces, and git's name of an empty blob.
  ContentHash sha256;
  sha256.add("a");
  sha256.add(std::as_bytes(std::span("bc", 2)));
  EXPECT_EQ(sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  ContentHash sha1(HashAlgorithm::sha1);
  sha1.add(std::string_view("blob 0\0", 7));
  EXPECT_EQ(sha1.hex(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(Units, Percent) {
  EXPECT_EQ(percent(0), "0 %");
  EXPECT_EQ(percent(0.00001), "<0.1 %");
  EXPECT_EQ(percent(-0.00001), ">-0.1 %");
  EXPECT_EQ(percent(0.123), "12.3 %");
  EXPECT_EQ(percent(0.99999), ">99.9 %");
  EXPECT_EQ(percent(1), "100 %");
}

TEST(Units, CountsAreExact) {
  EXPECT_EQ(counted(1, "text"), "1 text");
  EXPECT_EQ(counted(1234, "text"), "1,234 texts");
  EXPECT_EQ(counted(1234567, "text"), "1,234,567 texts");
}

}  // namespace
}  // namespace breakeven
