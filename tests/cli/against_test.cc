// `breakeven run --against OTHER` as a user meets it. The other build is this one, or a script that
// pretends to be one. What the times say is compare's to tell, and tested there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/real_program.h"
#include "record/journal.h"

namespace breakeven {
namespace {

using ::breakeven::testing::Ended;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class AgainstTest : public testing::RealProgram {
 protected:
  // A shell script in the place of another build; "$@" is what it was asked.
  std::string script(const std::string& name, const std::string& body) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path.c_str(), 0755);
    return path;
  }

  const std::string run_ =
      "run --model builtin-narrow --count 8 --batch 1 --precision fp32 --max-length 32 --mode "
      "serial --time 2s --turns 2 ";
};

TEST_F(AgainstTest, BothAreMeasuredInTurnsAndCompared) {
  const std::string other =
      script("other", "echo \"$*\" >> calls\nexec '" BREAKEVEN_BINARY "' \"$@\"");
  const Ended ended = run(run_ + "--journal j.jsonl --against " + other + " --format json");
  // A busy machine may show a difference that is none; the exit code must be what the file says.
  ASSERT_THAT(ended.code, AnyOf(0, 1, 3)) << ended.err;
  const auto json = nlohmann::json::parse(ended.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << ended.out;
  EXPECT_EQ(json["cells"].size(), 1U);
  for (const std::string file : {"j.jsonl", "j.against.jsonl"}) {
    const auto journal = record::read_journal((folder_ / file).string());
    ASSERT_TRUE(journal) << journal.error().message;
    ASSERT_EQ(journal->records.size(), 1U) << file;
    EXPECT_FALSE(journal->records[0].samples_s.empty());
    EXPECT_THAT(journal->records[0].runtime_settings.at("turns"),
                ::testing::StartsWith("2, from "));
  }
  // The same again from the journals.
  const Ended again = run("compare j.against.jsonl j.jsonl --format json");
  EXPECT_EQ(again.code, ended.code);
  EXPECT_EQ(again.out, ended.out);
  // Asked for its version, whether it knows the flags, and for two turns.
  std::ifstream calls(folder_ / "calls");
  std::vector<std::string> lines;
  for (std::string line; std::getline(calls, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0], "--version");
  EXPECT_THAT(lines[1], HasSubstr("--dry-run"));
  for (const std::size_t turn : {2U, 3U}) {
    EXPECT_THAT(lines[turn], HasSubstr("--batch 1 --precision fp32"));
    EXPECT_THAT(lines[turn], HasSubstr("--time 0.500s"));
    EXPECT_THAT(lines[turn], ::testing::Not(HasSubstr("--against")));
    EXPECT_THAT(lines[turn], ::testing::Not(HasSubstr("j.jsonl")));
  }
  // Nothing is left behind but what was asked for.
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_THAT(entry.path().filename().string(), ::testing::Not(HasSubstr("breakeven-")));
  }
}

TEST_F(AgainstTest, AnotherProgramIsRefusedByName) {
  expect_refused(run_ + "--against /bin/true", "'/bin/true' is no breakeven");
  expect_refused(run_ + "--against /no/such/program", "'/no/such/program' cannot be run");
  expect_refused(run_ + "--against .", "'.'");
  const std::string liar = script("liar", "echo 'breakeven 9'; exit 3");
  expect_refused(run_ + "--against " + liar, "is no breakeven");
}

TEST_F(AgainstTest, AnotherSchemaIsRefusedByName) {
  // Prints a version, takes the flags, and writes a record of the future.
  const std::string future =
      script("future",
             "if [ \"$1\" = --version ]; then echo 'breakeven 9.9'; exit 0; fi\n"
             "while [ $# -gt 0 ]; do if [ \"$1\" = --journal ]; then\n"
             "echo '{\"schema_version\":99,\"cell\":{}}' > \"$2\"; fi; shift; done");
  expect_refused(run_ + "--against " + future, "another schema");
  expect_refused(run_ + "--against " + future, "99");
}

TEST_F(AgainstTest, AnOtherBuildThatFailsSaysWhy) {
  const std::string old =
      script("old",
             "if [ \"$1\" = --version ]; then echo 'breakeven 0.0'; exit 0; fi\n"
             "echo 'breakeven: --max-length is not known here' >&2; exit 2");
  expect_refused(run_ + "--against " + old, "--max-length is not known here");
  const std::string crash =
      script("crash",
             "if [ \"$1\" = --version ]; then echo 'breakeven 0.0'; exit 0; fi\n"
             "for word; do if [ \"$word\" = --dry-run ]; then exit 0; fi; done\n"
             "echo 'it hurts' >&2; kill -SEGV $$");
  expect_refused(run_ + "--against " + crash, "it hurts");
}

TEST_F(AgainstTest, FlagsThatDoNotGoTogetherAreRefused) {
  const std::string ours = "--against '" BREAKEVEN_BINARY "' ";
  expect_refused(run_ + ours + "--resume j.jsonl", "--resume");
  expect_refused(run_ + ours + "--texts -", "--texts -");
  expect_refused(run_ + ours + "--format csv", "csv");
  expect_refused(run_ + ours + "--minimum-effect much", "much");
  expect_refused("run --turns 1 " + ours, "--turns");
  expect_refused("run --turns 3", "--turns 3");
  expect_refused("run --minimum-effect 3%", "--minimum-effect 3%");
}

}  // namespace
}  // namespace breakeven
