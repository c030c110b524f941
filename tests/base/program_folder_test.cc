#include "base/program_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "testing/paths.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

class ProgramFolderTest : public ::testing::Test {
 protected:
  ~ProgramFolderTest() override { unsetenv("BREAKEVEN_TEST_FOLDER"); }

  std::string put(const std::string& name) {
    std::filesystem::create_directories(folder_ / name);
    std::ofstream(folder_ / name / "witness") << "here";
    return (folder_ / name).string();
  }

  testing::TempDir folder_;
  ProgramFolder wanted_{"things", "BREAKEVEN_TEST_FOLDER", folder_ / "source", "witness",
                        "test/none"};
};

TEST_F(ProgramFolderTest, TheVariableComesBeforeTheSourceTree) {
  const std::string source = put("source");
  const std::string named = put("named");
  EXPECT_EQ(find_program_folder(wanted_).value(), source);
  setenv("BREAKEVEN_TEST_FOLDER", named.c_str(), 1);
  EXPECT_EQ(find_program_folder(wanted_).value(), named);
  setenv("BREAKEVEN_TEST_FOLDER", "", 1);
  EXPECT_EQ(find_program_folder(wanted_).value(), source);
}

TEST_F(ProgramFolderTest, AFolderWithoutTheWitnessIsPassedOver) {
  std::filesystem::create_directories(folder_ / "empty");
  setenv("BREAKEVEN_TEST_FOLDER", (folder_ / "empty").c_str(), 1);
  const std::string source = put("source");
  EXPECT_EQ(find_program_folder(wanted_).value(), source);
}

TEST_F(ProgramFolderTest, NoneOfThemIsAnErrorThatNamesThemAll) {
  setenv("BREAKEVEN_TEST_FOLDER", "/nowhere/at/all", 1);
  const auto found = find_program_folder(wanted_);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, "test/none");
  EXPECT_THAT(found.error().message, HasSubstr("/nowhere/at/all"));
  EXPECT_THAT(found.error().message, HasSubstr("share/breakeven/things"));
  EXPECT_THAT(found.error().message, HasSubstr((folder_ / "source").string()));
  EXPECT_THAT(found.error().hint, HasSubstr("BREAKEVEN_TEST_FOLDER"));
}

}  // namespace
}  // namespace breakeven
