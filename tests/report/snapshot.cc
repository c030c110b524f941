#include "report/snapshot.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "testing/paths.h"

namespace breakeven::testing {

void expect_snapshot(const std::string& name, const std::string& actual) {
  const std::string path = testing::source_dir().string() + "/tests/report/snapshots/" + name;
  const char* update = std::getenv("SNAP_UPDATE");
  if (update != nullptr && std::string(update) == "1") {
    std::ofstream(path, std::ios::binary) << actual;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  ASSERT_TRUE(file) << path << " is missing; SNAP_UPDATE=1 writes it";
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(actual, expected.str()) << "SNAP_UPDATE=1 rewrites " << path;
}

}  // namespace breakeven::testing
