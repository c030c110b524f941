#include "shards/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/files.h"
#include "testing/paths.h"

namespace breakeven::shards {
namespace {

using ::breakeven::testing::TempDir;
using ::testing::HasSubstr;

TEST(Folders, TheFirstOfManyWritersStays) {
  const TempDir dir;
  const std::string path = (dir / "out").string();
  auto planned = Folder::open(path);
  ASSERT_TRUE(planned.has_value() && planned->put(Folder::kPlan, "x").has_value());
  for (int round = 0; round < 20; ++round) {
    const std::string name = Folder::part_name(static_cast<std::uint64_t>(round));
    std::atomic<int> first{-1};
    std::atomic<int> firsts{0};
    std::vector<std::thread> writers;
    writers.reserve(4);
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([&, i] {
        auto folder = Folder::open(path);
        ASSERT_TRUE(folder.has_value()) << folder.error().to_string();
        const auto put = folder->put(name, std::string(10'000, static_cast<char>('a' + i)));
        ASSERT_TRUE(put.has_value()) << put.error().to_string();
        if (!*put) return;
        first = i;
        ++firsts;
      });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(firsts, 1);
    EXPECT_EQ(read_file(planned->at(name)).value(),
              std::string(10'000, static_cast<char>('a' + first)));
    EXPECT_TRUE(entries_of(planned->at(Folder::kAside)).empty());
  }
}

TEST(Folders, LooksAtWhatIsThere) {
  const TempDir dir;
  auto folder = Folder::open((dir / "out/").string());
  ASSERT_TRUE(folder.has_value());
  EXPECT_EQ(folder->has("a"), false);
  EXPECT_EQ(folder->put("a", "1\n2\n"), true);
  EXPECT_EQ(folder->put("a", "3\n"), false);
  const auto seen = folder->look("a");
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->bytes, 4U);
  EXPECT_EQ(seen->lines, 2U);
  EXPECT_THAT(seen->sha256, ::testing::SizeIs(64));
  EXPECT_EQ(folder->publish("_tmp/none", "b").error().code, "file/unwritable");
  EXPECT_NE(folder->aside("x"), folder->aside("x"));
}

TEST(Folders, OfOthersAreRefused) {
  const TempDir dir;
  ASSERT_TRUE(write_file_atomic((dir / "thesis.txt").string(), "x").has_value());
  const auto foreign = Folder::open(dir.path().string());
  ASSERT_FALSE(foreign.has_value());
  EXPECT_EQ(foreign.error().code, "shards/foreign-folder");
  EXPECT_THAT(foreign.error().to_string(), HasSubstr("thesis.txt"));
  EXPECT_FALSE(std::filesystem::exists(dir / "_done"));
  EXPECT_EQ(Folder::open((dir / "thesis.txt").string()).error().code, "shards/foreign-folder");
  EXPECT_EQ(Folder::open((dir / "no" / "such").string()).error().code, "file/unwritable");
  // Parts without a plan are nobody's: whose, the plan would say.
  std::filesystem::create_directory(dir / "parts");
  ASSERT_TRUE(write_file_atomic((dir / "parts" / "part-000000.jsonl").string(), "x").has_value());
  EXPECT_EQ(Folder::open((dir / "parts").string()).error().code, "shards/foreign-folder");
}

}  // namespace
}  // namespace breakeven::shards
