// docs/schema.md describes every field and no other.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>

#include "record/json.h"
#include "testing/paths.h"

namespace breakeven::record {
namespace {

TEST(SchemaDoc, ListsEveryFieldAndNoOther) {
  std::ifstream file(testing::source_dir() / "docs/schema.md");
  ASSERT_TRUE(file);
  const std::regex row("^\\| `([^`]+)` \\| .+ \\| .+ \\|$");
  std::set<std::string> described;
  std::string version;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (std::regex_match(line, match, row)) {
      EXPECT_TRUE(described.insert(match[1]).second) << match[1] << " is described twice";
    }
    if (line.rfind("Schema version: ", 0) == 0) version = line.substr(16);
  }
  EXPECT_EQ(version, std::to_string(kSchemaVersion));
  // Shared shapes (an estimate, an interval, the stages) are described once, under their own name.
  std::set<std::string> expected;
  const std::regex shared(
      "^(.*?)(\\.interval|\\.seconds|latency_s\\.\\*|reviews_per_s|tokens_per_s|intercept_s|"
      "slope_s_per_text|log_log_slope|event_stages)\\..*$");
  for (const std::string& path : field_paths()) {
    std::smatch match;
    if (std::regex_match(path, match, shared)) {
      expected.insert(match[1].str() + match[2].str());
    } else {
      expected.insert(path);
    }
  }
  for (const char* field : {"Estimate.value", "Estimate.interval", "Estimate.samples",
                            "Interval.low", "Interval.high", "Interval.confidence"}) {
    expected.insert(field);
  }
  for (const auto& path : expected) EXPECT_TRUE(described.contains(path)) << path << " is missing";
  for (const auto& path : described) EXPECT_TRUE(expected.contains(path)) << path << " is no field";
}

}  // namespace
}  // namespace breakeven::record
