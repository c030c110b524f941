#include "shards/plan.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "testing/paths.h"

namespace breakeven::shards {
namespace {

using ::breakeven::testing::TempDir;
using ::testing::HasSubstr;

class Plans : public ::testing::Test {
 protected:
  data::SourceOptions file(const std::string& name, const std::string& content) {
    data::SourceOptions options;
    options.texts = (dir_ / name).string();
    options.label_field = "";
    EXPECT_TRUE(write_file_atomic(options.texts, content).has_value());
    return options;
  }

  static std::vector<std::string> texts_of(data::Source& source) {
    std::vector<std::string> texts;
    for (;;) {
      auto review = source.next();
      if (!review) {
        texts.push_back(review.error().code);
        return texts;
      }
      if (!*review) return texts;
      texts.push_back((*review)->text + (*review)->second.value_or("") + (*review)->extra);
    }
  }

  // The texts of all shards of so many rows, through the plan's text.
  std::vector<std::string> through_shards(const std::vector<data::SourceOptions>& files,
                                          std::uint64_t rows) {
    const auto made = make_plan(files, rows, {{"model", "m"}});
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    if (!made) return {};
    const auto plan = parse_plan(to_jsonl(*made), "plan");
    EXPECT_TRUE(plan.has_value()) << plan.error().to_string();
    if (!plan) return {};
    EXPECT_EQ(to_jsonl(*plan), to_jsonl(*made));
    EXPECT_TRUE(check_same(*plan, {{"model", "m"}}, files, "out").has_value());
    std::vector<std::string> texts;
    for (const Shard& shard : plan->shards) {
      const auto source = open_shard(*plan, shard);
      EXPECT_TRUE(source.has_value());
      const auto some = texts_of(**source);
      EXPECT_EQ(some.size(), shard.rows);
      EXPECT_EQ(texts.size(), shard.first_row);
      texts.insert(texts.end(), some.begin(), some.end());
    }
    EXPECT_EQ(texts.size(), plan->rows());
    return texts;
  }

  TempDir dir_;
};

TEST_F(Plans, ShardsOfAnySizeHoldTheTextsOfTheFiles) {
  const std::string bom = "\xEF\xBB\xBF";
  const std::vector<std::pair<std::string, std::string>> contents = {
      {"plain.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\",\"x\":1}\n{\"text\":\"c\"}\n"},
      {"blank.jsonl",
       bom + "\n{\"text\":\"a\"}\r\n\r\n  \n{\"text\":\"b\\ud83d\"}\r{\"text\":\"c\"}"},
      {"mark.jsonl", "{\"text\":\"a\"}\n" + bom + "{\"text\":\"b\"}\n"},
      {"pair.jsonl",
       "{\"premise\":\"a\",\"hypothesis\":\"b\"}\n{\"hypothesis\":\"c\",\"premise\":\"d\"}\n"},
      {"array.json", "[{\"text\":\"a\"},\n{\"text\":\n\"b\"}, {\"text\":\"c\"}]"},
      {"wide.json", "{\n\"text\": \"a\"\n}\n{\n\"text\":\"b\"\n}\n"},
      {"quoted.csv", "id,text\n1,\"a\nb, c\"\n\n2,\"d \"\"e\"\"\"\r\n3,f\n"},
      {"semicolon.csv", "sep=;\ntext;id\na;1\nsep=,;2\nc;3\n"},
      {"glue.tsv", "text\tid\n\"a b\t1\nc \"d\" e\t2\n\"f\t3\n"},
      {"lines.txt", "a\n\n" + bom + "b\r\nc"},
      {"bad.txt", "a\xFF\nb\n"},
  };
  for (const auto& [name, content] : contents) {
    const auto options = file(name, content);
    const auto whole = data::open_source(options);
    ASSERT_TRUE(whole.has_value()) << name << whole.error().to_string();
    const auto expected = texts_of(**whole);
    ASSERT_GE(expected.size(), 2U) << name;
    for (const std::uint64_t rows : {1U, 2U, 3U, 7U}) {
      EXPECT_EQ(through_shards({options}, rows), expected) << name << ", " << rows;
    }
  }
  auto headless = file("headless.csv", "a,1\nb,2\nc,3\n");
  headless.header = false;
  headless.text_field = "1";
  EXPECT_THAT(through_shards({headless}, 2),
              ::testing::ElementsAre("a{\"column_2\":\"1\"}", "b{\"column_2\":\"2\"}",
                                     "c{\"column_2\":\"3\"}"));
  auto utf16 = file("wide.txt", std::string("\xFF\xFE"
                                            "a\0\n\0b\0\n\0",
                                            10));
  EXPECT_THAT(through_shards({utf16}, 1), ::testing::ElementsAre("a", "b"));
}

TEST_F(Plans, ShardsGoOnInTheNextFile) {
  std::vector<data::SourceOptions> files;
  std::vector<std::string> expected;
  for (int i = 0; i < 7; ++i) {
    std::string content;
    for (int row = 0; row <= i % 3; ++row) {
      expected.push_back(fmt::format("{}.{}", i, row));
      content += expected.back() + "\n";
    }
    files.push_back(file(fmt::format("{}.txt", i), content));
  }
  for (const std::uint64_t rows : {1U, 2U, 4U, 100U}) {
    EXPECT_EQ(through_shards(files, rows), expected);
    const auto plan = make_plan(files, rows, {});
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->shards.size(), (expected.size() + rows - 1) / rows);
  }
}

TEST_F(Plans, AFileThatChangesIsNotRead) {
  const auto options = file("a.txt", "one\ntwo\nthree\n");
  const auto plan = make_plan(std::vector{options}, 1, {});
  ASSERT_TRUE(plan.has_value());
  file("a.txt", "one\nTwo\nthree\n");
  const auto texts = [&](std::size_t shard) {
    return texts_of(**open_shard(*plan, plan->shards[shard]));
  };
  EXPECT_THAT(texts(0), ::testing::ElementsAre("one"));
  EXPECT_THAT(texts(1), ::testing::Contains("data/changed"));
  file("a.txt", "one\n");
  EXPECT_THAT(texts(2), ::testing::ElementsAre("data/changed"));
  const auto same = check_same(*plan, {}, std::vector{options}, "out");
  ASSERT_FALSE(same.has_value());
  EXPECT_THAT(same.error().to_string(), HasSubstr("of 14 bytes, not 4"));
}

TEST_F(Plans, AllThatDiffersIsNamed) {
  const auto options = file("a.txt", "one\n");
  const auto plan = make_plan(std::vector{options}, 1, {{"model", "x"}, {"--precision", "fp32"}});
  ASSERT_TRUE(plan.has_value());
  const auto same = check_same(*plan, {{"model", "y"}, {"--precision", "int8"}, {"--new", "1"}},
                               std::vector{options, options}, "out");
  ASSERT_FALSE(same.has_value());
  EXPECT_EQ(same.error().code, "shards/other-job");
  for (const char* part : {"model x, not y", "--precision fp32, not int8", "--new (none), not 1",
                           "1 files, not 2", "out is of another job"}) {
    EXPECT_THAT(same.error().message, HasSubstr(part));
  }
}

TEST_F(Plans, WhatIsNoPlanIsRefused) {
  const auto made = make_plan(std::vector{file("a.txt", "one\ntwo\n")}, 1, {{"model", "x"}});
  ASSERT_TRUE(made.has_value());
  const std::string text = to_jsonl(*made);
  for (std::size_t bytes = 0; bytes + 1 < text.size(); ++bytes) {
    const auto plan = parse_plan(text.substr(0, bytes), "plan");
    ASSERT_FALSE(plan.has_value()) << bytes;
    EXPECT_EQ(plan.error().code, "shards/plan");
  }
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    const auto plan = parse_plan(other, "plan");
    return plan ? std::string("taken") : plan.error().message;
  };
  EXPECT_THAT(replaced("\"plan\":1", "\"plan\":2"), HasSubstr("plan is 2"));
  EXPECT_THAT(replaced("{\"shard\":1", "{\"shard\":5"), HasSubstr("shard is 5"));
  EXPECT_THAT(replaced("\"pieces\":[{\"file\":0", "\"pieces\":[{\"file\":3"), HasSubstr("3"));
  EXPECT_THAT(replaced("\"rows\":1,\"pieces\"", "\"rows\":2,\"pieces\""), HasSubstr("rows is 2"));
}

TEST_F(Plans, WhatCannotBeCutIsRefused) {
  const auto code = [](const data::SourceOptions& options) {
    const auto plan = make_plan(std::vector{options}, 10, {});
    return plan ? std::string("taken") : plan.error().code;
  };
  data::SourceOptions missing;
  missing.texts = (dir_ / "none.jsonl").string();
  EXPECT_EQ(code(missing), "file/missing");
  missing.texts = dir_.path().string();
  EXPECT_EQ(code(missing), "file/not-a-file");
  EXPECT_EQ(code(file("empty.jsonl", "")), "data/empty");
  EXPECT_EQ(code(file("header.csv", "text,id\n")), "data/empty");
  EXPECT_EQ(code(file("ids.csv", "id,x\n1,2\n")), "data/missing-field");
  EXPECT_EQ(code(file("open.csv", "text,id\n\"a,2\n")), "data/csv");
}

}  // namespace
}  // namespace breakeven::shards
