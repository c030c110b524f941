#include "measure/child.h"

#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "base/clock.h"
#include "measure/memory.h"
#include "testing/paths.h"

namespace breakeven::measure {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Result<ChildAnswer> shell(const std::string& script, std::string_view request = "",
                          double limit_s = 60, const std::atomic<bool>* stop = nullptr) {
  return run_child({"-c", script}, request, limit_s, stop, "/bin/sh");
}

TEST(Child, AnswersWithItsRequest) {
  const auto answer = shell("cat", R"({"cell": [1, 2]})");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->json, R"({"cell": [1, 2]})");
  EXPECT_LE(answer->started_s + answer->wall_s, monotonic_clock().now_s());
}

TEST(Child, LongRequestsAndAnswersPassThrough) {
  const std::string big = "\"" + std::string(5000000, 'x') + "\"";
  const auto answer = shell("cat", big);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->json, big);
}

TEST(Child, ThatDoesNotReadIsNoTrouble) {
  const auto answer = shell("exec <&-; echo 1", std::string(5000000, 'x'));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->json, "1\n");
}

TEST(Child, AFailureCarriesTheLastLineOfStderr) {
  const auto answer = shell("echo first >&2; printf 'no \\033[31mmodel here\\n\\n' >&2; exit 2");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "child/failed");
  EXPECT_THAT(answer.error().message, HasSubstr("exit code 2"));
  EXPECT_THAT(answer.error().message, HasSubstr("last line of its stderr: no  [31mmodel here"));
  EXPECT_THAT(answer.error().message, Not(HasSubstr("first")));
}

TEST(Child, AKilledOneNamesTheSignal) {
  const auto segfault = shell("kill -SEGV $$");
  ASSERT_FALSE(segfault);
  EXPECT_EQ(segfault.error().code, "child/killed");
  EXPECT_THAT(segfault.error().message, HasSubstr("signal 11"));
  const auto killed = shell("kill -KILL $$");
  EXPECT_THAT(killed.error().hint, HasSubstr("out of memory"));
}

TEST(Child, RubbishIsNoAnswer) {
  for (const char* script :
       {"echo rubbish", "true", "echo '{\"a\":'", "echo 1; echo 2", "printf '\\377\\376'"}) {
    const auto answer = shell(script);
    ASSERT_FALSE(answer) << script;
    EXPECT_EQ(answer.error().code, "child/garbage") << script;
  }
}

TEST(Child, AFloodOfWordsIsCut) {
  const auto answer = shell("yes words | head -c 3000000 >&2; echo the end >&2; exit 1");
  ASSERT_FALSE(answer);
  EXPECT_LT(answer.error().message.size(), 1000U);
  EXPECT_THAT(answer.error().message, HasSubstr("the end"));
}

TEST(Child, AHangingOneIsKilledAtItsLimit) {
  const auto answer = shell("echo waiting >&2; exec sleep 1000", "", 0.3);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "child/time-limit");
  EXPECT_THAT(answer.error().message, HasSubstr("0.3 s"));
}

TEST(Child, AGrandchildThatKeepsTheStreamsDoesNotHold) {
  const auto answer = shell("sleep 100000 & echo $!", "", 3600);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(::kill(std::stoi(answer->json), SIGKILL), 0) << "it still sleeps";
}

TEST(Child, TheStopFlagKillsIt) {
  std::atomic<bool> stop = true;
  const auto answer = shell("exec sleep 1000", "", 600, &stop);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "child/interrupted");
}

TEST(Child, AMissingProgramSaysSo) {
  const auto answer = run_child({}, "", 10, nullptr, "/nowhere/program");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "child/spawn");
  EXPECT_THAT(answer.error().message, HasSubstr("/nowhere/program"));
}

TEST(Memory, IsCountedAsTheAllocatorHandsItOut) {
  const double before = monotonic_clock().now_s();
  // The parent is large: a child that inherited its maximum would show it.
  std::vector<char> ballast(200U << 20, 1);
  const auto answer = run_child({}, "", 60, nullptr, MEASURE_CHILD);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(ballast[ballast.size() / 2], 1);
  const auto json = nlohmann::json::parse(answer->json);
  EXPECT_GE(json["at_s"].get<double>(), answer->started_s) << "one clock in both processes";
  EXPECT_GE(answer->started_s, before);
  EXPECT_LE(json["at_s"].get<double>(), monotonic_clock().now_s());
  constexpr double kMegabyte = 1U << 20;
  const double rss = json["rss"].get<double>() / kMegabyte;
  EXPECT_GT(rss, 15);
  EXPECT_LT(rss, 190);
  if (!json["counting"].get<bool>()) {
    GTEST_SKIP() << "SKIPPED: a sanitizer brings its own malloc; allocations cannot be counted";
  }
  EXPECT_NEAR(json["peak"].get<double>() / kMegabyte, 35, 0.3);  // 10 + 20 + 5
  EXPECT_NEAR(json["library"].get<double>() / kMegabyte, 7, 0.3);
  EXPECT_NEAR(json["now"].get<double>() / kMegabyte, 10, 0.3);
  EXPECT_NEAR(json["reset_peak"].get<double>() / kMegabyte, 10, 0.3);
}

TEST(Memory, WithoutHooksNothingIsCounted) {
  EXPECT_FALSE(start_counting_allocations());
  EXPECT_FALSE(counting_allocations());
  ClassifierInfo info;
  info.weight_bytes = 5;
  const auto memory = memory_of(info);
  EXPECT_EQ(memory.method, "");
  EXPECT_EQ(memory.weight_bytes, 5U);
  EXPECT_EQ(memory.peak_allocated_bytes, 0U);
  EXPECT_GT(memory.peak_rss_bytes, 1U << 20);
}

TEST(Memory, RssComesFromProc) {
  const testing::TempDir folder;
  std::filesystem::create_directories(folder / "proc/self");
  std::ofstream(folder / "proc/self/status") << "Name:\tx\nVmHWM:\t    120 kB\nVmRSS:\t 100 kB\n";
  EXPECT_EQ(peak_rss_bytes(folder.path().string()), 120U * 1024);
  EXPECT_EQ(peak_rss_bytes("/nowhere"), 0U);
}

}  // namespace
}  // namespace breakeven::measure
