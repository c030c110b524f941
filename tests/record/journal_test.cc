#include "record/journal.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "example.h"
#include "record/json.h"
#include "testing/paths.h"

namespace breakeven::record {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string line_of(const char* run_id) {
  Record record;
  record.run_id = run_id;
  return *to_json_line(record) + "\n";
}

void write(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}

TEST(JournalName, HoldsTheTimeInUtc) {
  EXPECT_EQ(journal_name(0), "breakeven-19700101T000000Z.jsonl");
  EXPECT_EQ(journal_name(1795293840.9), "breakeven-20261121T204400Z.jsonl");
}

TEST(Journal, TwoRunsOfTheSameSecondEachGetAFile) {
  const testing::TempDir folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  {
    auto first = Journal::open_new(0);
    auto second = Journal::open_new(0);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->path(), "breakeven-19700101T000000Z.jsonl");
    EXPECT_EQ(second->path(), "breakeven-19700101T000000Z-2.jsonl");
  }
  // Nor does one that ended already get the records of another.
  EXPECT_EQ(Journal::open_new(0)->path(), "breakeven-19700101T000000Z-3.jsonl");
  std::filesystem::current_path(before);
}

TEST(Journal, AppendsOneRecordALine) {
  const testing::TempDir folder;
  const std::string path = folder / "a.jsonl";
  for (int round = 0; round < 2; ++round) {
    auto journal = Journal::open(path);
    ASSERT_TRUE(journal) << journal.error().to_string();
    ASSERT_TRUE(journal->append(example_record()));
    ASSERT_TRUE(journal->append(Record{}));
  }
  const auto content = read_journal(path);
  ASSERT_TRUE(content) << content.error().to_string();
  ASSERT_THAT(content->records, SizeIs(4));
  EXPECT_THAT(content->notes, IsEmpty());
  EXPECT_EQ(content->records[2], example_record());
}

TEST(Journal, ATornLastLineIsLeftOutWithANote) {
  const std::string whole = line_of("first") + line_of("second");
  const std::size_t second = line_of("first").size();
  for (std::size_t cut = second + 1; cut < whole.size() - 1; ++cut) {
    const auto content = parse_journal(whole.substr(0, cut), "j");
    ASSERT_TRUE(content) << cut << ": " << content.error().to_string();
    ASSERT_THAT(content->records, SizeIs(1)) << cut;
    ASSERT_THAT(content->notes, SizeIs(1)) << cut;
    EXPECT_THAT(content->notes[0], HasSubstr("j: line 2 is torn"));
  }
  const auto only_newline_missing = parse_journal(whole.substr(0, whole.size() - 1), "j");
  ASSERT_TRUE(only_newline_missing);
  EXPECT_THAT(only_newline_missing->records, SizeIs(2));
  EXPECT_THAT(only_newline_missing->notes, IsEmpty());
}

TEST(Journal, ResumingAfterATornLineLosesNothing) {
  const testing::TempDir folder;
  const std::string path = folder / "a.jsonl";
  for (const std::size_t missing : {std::size_t{1}, std::size_t{30}}) {
    const std::string second = line_of("second");
    write(path, line_of("first") + second.substr(0, second.size() - missing));
    {
      auto journal = Journal::open(path);
      ASSERT_TRUE(journal);
      Record third;
      third.run_id = "third";
      ASSERT_TRUE(journal->append(third));
    }
    const auto content = read_journal(path);
    ASSERT_TRUE(content) << content.error().to_string();
    const bool torn = missing > 1;
    ASSERT_THAT(content->records, SizeIs(torn ? 2 : 3));
    EXPECT_THAT(content->notes, SizeIs(torn ? 1 : 0));
    EXPECT_EQ(content->records.back().run_id, "third");
  }
}

TEST(Journal, AnyOtherBrokenLineIsAnErrorWithItsNumber) {
  const auto middle = parse_journal(line_of("a") + "{\"schema\n" + line_of("b"), "j");
  ASSERT_FALSE(middle);
  EXPECT_EQ(middle.error().code, "record/json");
  EXPECT_THAT(middle.error().message, HasSubstr("j, line 2: not JSON"));
  const auto ended = parse_journal(line_of("a") + "{\"schema\n", "j");
  ASSERT_FALSE(ended) << "a line with its newline was written whole";
  // A whole line of another schema is no torn line, even without its newline.
  const auto newer = parse_journal(line_of("a") + "{\"schema_version\":7,\"cell\":{}}", "j");
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, "record/schema");
  EXPECT_THAT(newer.error().message, HasSubstr("j, line 2"));
}

TEST(Journal, BlankLinesAndCarriageReturnsDoNotCount) {
  std::string windows = line_of("a");
  windows.insert(windows.size() - 1, "\r");
  const auto content = parse_journal("\n" + windows + "  \n\n", "j");
  ASSERT_TRUE(content) << content.error().to_string();
  EXPECT_THAT(content->records, SizeIs(1));
}

TEST(Journal, AnEmptyFileHoldsNoRecords) {
  const auto content = parse_journal("", "j");
  ASSERT_TRUE(content);
  EXPECT_THAT(content->records, IsEmpty());
}

TEST(Journal, AMissingFileSaysSo) {
  const auto content = read_journal("/nowhere/at/all.jsonl");
  ASSERT_FALSE(content);
  EXPECT_EQ(content.error().code, "file/missing");
}

TEST(Journal, AnUnwritablePlaceIsNamed) {
  const auto journal = Journal::open("/nowhere/at/all.jsonl");
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, "file/unwritable");
  EXPECT_THAT(journal.error().message, HasSubstr("/nowhere/at/all.jsonl"));
}

TEST(Journal, AFullDiskIsAnErrorThatNamesTheFile) {
  auto journal = Journal::open("/dev/full");
  ASSERT_TRUE(journal) << journal.error().to_string();
  const auto written = journal->append(Record{});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, "file/unwritable");
  EXPECT_THAT(written.error().message, HasSubstr("/dev/full"));
  EXPECT_THAT(written.error().message, HasSubstr("No space left"));
}

TEST(Journal, TwoWritersAreRefused) {
  const testing::TempDir folder;
  const auto first = Journal::open(folder / "a.jsonl");
  ASSERT_TRUE(first);
  const auto second = Journal::open(folder / "a.jsonl");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "record/in-use");
}

TEST(Journal, WhatCannotBeWrittenLeavesTheFileAsItWas) {
  const testing::TempDir folder;
  auto journal = Journal::open(folder / "a.jsonl");
  ASSERT_TRUE(journal);
  ASSERT_TRUE(journal->append(Record{}));
  const auto before = read_file(folder / "a.jsonl");
  Record bad;
  bad.warmup_s = 1e308 * 10;
  EXPECT_EQ(journal->append(bad).error().code, "record/not-finite");
  EXPECT_EQ(*read_file(folder / "a.jsonl"), *before);
}

}  // namespace
}  // namespace breakeven::record
