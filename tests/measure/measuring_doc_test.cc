// docs/measuring.md shows the table of thresholds as the code has it, and the percentile gates.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "measure/statistics.h"
#include "measure/thresholds.h"
#include "testing/paths.h"

namespace breakeven::measure {
namespace {

std::string document() {
  std::ifstream file(testing::source_dir() / "docs/measuring.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

double number(const std::string& text) {
  return text == "never" ? kNever : std::stod(text);
}

TEST(MeasuringDoc, ShowsTheThresholdsAsTheyAre) {
  const std::string text = document();
  const std::regex row("\\| `([a-z-]+)` \\| ([0-9.]+|never) \\| ([0-9.]+|never) \\| ([^|]+) \\|");
  auto match = std::sregex_iterator(text.begin(), text.end(), row);
  for (const Threshold& threshold : kThresholds) {
    ASSERT_NE(match, std::sregex_iterator()) << threshold.code << " is missing";
    EXPECT_EQ((*match)[1].str(), threshold.code);
    EXPECT_EQ(number((*match)[2]), threshold.noted) << threshold.code;
    EXPECT_EQ(number((*match)[3]), threshold.invalid) << threshold.code;
    EXPECT_EQ((*match)[4].str(), threshold.meaning);
    ++match;
  }
  EXPECT_EQ(match, std::sregex_iterator()) << (*match)[1] << " is no threshold";
}

TEST(MeasuringDoc, ShowsThePercentileGates) {
  EXPECT_EQ(samples_needed(0.999), 6636U);
  const std::string row = "| " + std::to_string(samples_needed(0.5)) + " | " +
                          std::to_string(samples_needed(0.9)) + " | " +
                          std::to_string(samples_needed(0.95)) + " | " +
                          std::to_string(samples_needed(0.99)) + " | 6,636 |";
  EXPECT_NE(document().find(row), std::string::npos) << row;
}

TEST(MeasuringDoc, EveryTestThatIsNamedExists) {
  std::string tests;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(testing::source_dir() / "tests")) {
    if (entry.path().extension() != ".cc") continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    tests += text.str();
  }
  const std::string text = document();
  const std::regex name("`([A-Z][A-Za-z0-9]+)\\.([A-Z][A-Za-z0-9]+)`");
  std::size_t count = 0;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), name);
       match != std::sregex_iterator(); ++match) {
    ++count;
    const std::string arguments = "(" + (*match)[1].str() + ", " + (*match)[2].str() + ")";
    EXPECT_NE(tests.find(arguments), std::string::npos) << (*match)[0] << " is no test";
  }
  EXPECT_GT(count, 20U);
}

}  // namespace
}  // namespace breakeven::measure
