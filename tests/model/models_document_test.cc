// docs/models.md and README.md name the architectures that the program has, and no others.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "base/files.h"
#include "model/architectures/architecture.h"
#include "testing/paths.h"

namespace breakeven::model {
namespace {

std::string page(const char* name) {
  return *read_file((testing::source_dir() / name).string());
}

TEST(ModelsDocument, HasTheRowsThatTheProgramHas) {
  std::set<std::string> expected, found;
  for (const Architecture* each : architectures()) {
    expected.insert("| `" + std::string(each->model_type) + "` | " + std::string(each->class_name) +
                    " |");
  }
  std::ifstream document(testing::source_dir() / "docs/models.md");
  for (std::string line; std::getline(document, line);) {
    if (!line.starts_with("| `") || line.starts_with("| `model_type`")) continue;
    found.insert(line.substr(0, line.find('|', line.find('|', 1) + 1) + 1));
  }
  EXPECT_EQ(found, expected);
}

TEST(ModelsDocument, ReadmeNamesEachModelType) {
  const std::string readme = page("README.md");
  const std::size_t begin = readme.find("It runs sequence classifiers");
  ASSERT_NE(begin, std::string::npos);
  const std::string list = readme.substr(begin, readme.find("\n\n", begin) - begin);
  for (const Architecture* each : architectures()) {
    EXPECT_NE(list.find("(`" + std::string(each->model_type) + "`)"), std::string::npos)
        << each->model_type;
  }
}

}  // namespace
}  // namespace breakeven::model
