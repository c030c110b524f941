// The HTML report and its charts. That a browser's parser agrees is tests/cli/html_test.py's part.
#include "report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "report/charts.h"
#include "report/html_text.h"
#include "report/page_assets.h"
#include "report/sample_records.h"

namespace breakeven::report {
namespace {

using breakeven::testing::sample_paced;
using breakeven::testing::sample_run;
using breakeven::testing::sample_run_of_runtimes;
using breakeven::testing::sample_scaling;
using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Escape, EveryCharacterThatMeansSomething) {
  EXPECT_EQ(escape_html("<script>\"a\" & 'b'</script>"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;");
  EXPECT_EQ(escape_html("a\tb\nc\x1b[31m\x7f"), "a b c [31m ");
  EXPECT_EQ(escape_html("caf\xc3\xa9"), "caf\xc3\xa9");
}

TEST(Escape, JsonInsideAScriptCannotEndIt) {
  EXPECT_EQ(json_for_script(R"({"a":"</script><!--&"})"),
            R"({"a":"\u003c/script\u003e\u003c!--\u0026"})");
}

TEST(PolicyHash, IsBase64OfTheDigest) {
  // FIPS 180-4's example, in base64.
  EXPECT_EQ(policy_hash("abc"), "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='");
}

TEST(LineChart, EveryPointHasItsIntervalAndLabel) {
  LineChart chart{"A title", "x", "y", true, true, {}};
  chart.series.push_back({"first", {{1, 10, 9, 11, "here"}, {8, 40, {}, {}, "there"}}});
  chart.series.push_back({"second", {{1, 100, {}, {}, "up"}}});
  chart.limits.push_back({"limit", 1000});
  const auto drawn = drawable(chart);
  ASSERT_TRUE(drawn);
  EXPECT_EQ(drawn->left_out, 0U);
  EXPECT_EQ(Json::parse(to_json(*drawn)), Json::parse(R"({
      "kind": "line", "title": "A title", "x_title": "x", "y_title": "y", "log_x": true,
      "log_y": true, "left_out": 0, "limits": [{"name": "limit", "y": 1000}],
      "series": [{"name": "first", "points": [[1, 10, 9, 11, "here"], [8, 40, null, null, "there"]]},
                 {"name": "second", "points": [[1, 100, null, null, "up"]]}]})"));
  const std::string numbers = numbers_of(chart).to_markdown();
  for (const std::string part : {"first", "second", "9.00", "11.0", "limit", "1,000"}) {
    EXPECT_THAT(numbers, HasSubstr(part));
  }
}

TEST(LineChart, WhatCannotBeDrawnIsNotAndStandsInTheNumbers) {
  EXPECT_FALSE(drawable(LineChart{}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(drawable(LineChart{"t", "x", "y", true, true, {{"s", {{nan, 1}, {1, inf}}}}}));
  for (const double size : {1e-300, 1e300}) {
    EXPECT_FALSE(drawable(LineChart{"t", "x", "y", true, false, {{"s", {{1, size}}}}}));
  }
  // A value at or below 0 makes the axis linear; an end of an interval there goes.
  const auto lines = drawable(LineChart{"t", "x", "y", true, true, {{"s", {{0, -1}, {1, 2}}}}});
  ASSERT_TRUE(lines);
  EXPECT_FALSE(std::get<LineChart>(lines->chart).log_x);
  EXPECT_FALSE(std::get<LineChart>(lines->chart).log_y);
  const auto ends = drawable(LineChart{"t", "x", "y", true, true, {{"s", {{1, 2, 0, 3}}}}});
  ASSERT_TRUE(ends);
  EXPECT_FALSE(std::get<LineChart>(ends->chart).series[0].points[0].low);
  EXPECT_TRUE(std::get<LineChart>(ends->chart).log_y);
}

TEST(LineChart, MoreSeriesThanCanBeToldApartAreCounted) {
  LineChart chart{"t", "x", "y", false, false, {}};
  for (int i = 0; i < 11; ++i) chart.series.push_back({"s" + std::to_string(i), {{1.0 * i, 1}}});
  const auto drawn = drawable(chart);
  ASSERT_TRUE(drawn);
  EXPECT_EQ(drawn->left_out, 3U);
  EXPECT_EQ(std::get<LineChart>(drawn->chart).series.size(), kMostSeries);
  EXPECT_EQ(numbers_of(chart).rows(), 11U);
}

TEST(BarChart, ValuesWithoutSenseCountAsNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  BarChart chart{"t", "ms", {"a", "b"}, {{"one", {10, 30}, "40"}, {"two", {nan}, "?"}}, false};
  const auto drawn = drawable(chart);
  ASSERT_TRUE(drawn);
  EXPECT_EQ(Json::parse(to_json(*drawn))["bars"], Json::parse(R"([
      {"name": "one", "values": [10, 30], "label": "40"},
      {"name": "two", "values": [0, 0], "label": "?"}])"));
  EXPECT_FALSE(
      drawable(BarChart{"t", "ms", {"a"}, {{"one", {nan}, ""}, {"two", {-1}, ""}}, false}));
  EXPECT_FALSE(drawable(BarChart{}));
  // Of shares, a bar of one colour is a sentence.
  BarChart shares{"t", "ms", {"a", "b"}, {{"one", {10, 30}}, {"two", {0, 7}}}, true};
  EXPECT_EQ(std::get<BarChart>(drawable(shares)->chart).bars.size(), 1U);
  EXPECT_EQ(drawable(shares)->said, "B is more than 99 % of two.");
  EXPECT_FALSE(drawable(shares)->empty());
  shares.bars.erase(shares.bars.begin());
  EXPECT_TRUE(drawable(shares)->empty());
  chart.bars.assign(kMostBars + 2, chart.bars.front());
  EXPECT_EQ(drawable(chart)->left_out, 2U);
}

TEST(Html, ARunHasItsChartsTablesAndVerdict) {
  const std::string html = to_html(sample_run_of_runtimes());
  for (const std::string part :
       {"Latency of a batch", "Throughput, several", "Where a batch", "Memory of a fresh process",
        "Texts a second of each runtime", "real ones and padding", "Serial: latency",
        "Other runtimes: how many times", "<h2>Verdict</h2>", "<h2>Warnings</h2>",
        "<h2>Environment</h2>", "Example CPU 9000", "<h2>Numbers</h2>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_LT(html.find("id=\"first\""), html.find("Which machine to rent"));
  EXPECT_LT(html.find("Which machine to rent"), html.find("<h2>Charts</h2>"));
  EXPECT_LT(html.find("<h2>Charts</h2>"), html.find("<h2>Verdict</h2>"));
  EXPECT_LT(html.find("<h2>Verdict</h2>"), html.find("Serial: latency"));
  EXPECT_LT(html.find("Serial: latency"), html.find("<h2>Noise</h2>"));
  EXPECT_THAT(html, Not(HasSubstr("src=\"")));
  EXPECT_THAT(html, Not(HasSubstr("<link")));
}

TEST(Html, ThePolicyNamesEveryScriptAndNothingElse) {
  const std::string html = to_html(sample_run());
  const std::size_t at = html.find("Content-Security-Policy");
  const std::string policy = html.substr(at, html.find("/>", at) - at);
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, HasSubstr(policy_hash(page_style())));
  for (const std::string_view script : page_scripts()) {
    EXPECT_THAT(policy, HasSubstr(policy_hash(script)));
    EXPECT_THAT(html, HasSubstr("<script>" + std::string(script) + "</script>"));
  }
  EXPECT_THAT(html, HasSubstr("Chart.js v3."));
}

TEST(Html, MemoryHasTheLimitOfItsMachine) {
  std::vector<record::Record> records = sample_run();
  for (record::Record& record : records) {
    record.machine.memory_bytes = 24'000'000'000;
    record.machine.memory_limit_bytes = 0;
  }
  std::size_t found = 0;
  for (const Chart& chart : charts(records)) {
    const auto* lines = std::get_if<LineChart>(&chart);
    if (lines == nullptr || lines->limits.empty()) continue;
    ++found;
    EXPECT_THAT(lines->title, HasSubstr("Memory"));
    EXPECT_EQ(lines->limits[0].y, 24'000);
  }
  EXPECT_EQ(found, 1U);
}

TEST(Html, PacedRowsAndScalingHaveTheirCharts) {
  EXPECT_THAT(to_html(sample_paced()), HasSubstr("Latency under a load"));
  EXPECT_THAT(to_html(sample_scaling()), HasSubstr("Time over the number of texts"));
  EXPECT_THAT(to_html(std::vector<record::Record>{}), HasSubstr("No records."));
}

TEST(Html, RowsThatDoNotCountAreInNoChart) {
  std::vector<record::Record> records = sample_run();
  for (record::Record& record : records)
    record.reasons = {{"steal", "", 0.4, 0.1, record::Severity::invalid}};
  EXPECT_TRUE(charts(records).empty());
  records[0].reasons[0].severity = record::Severity::note;
  EXPECT_FALSE(charts(records).empty());
  records[0].parity->outcome = record::Agreement::failed;
  EXPECT_TRUE(charts(records).empty());
}

TEST(Html, WhereNothingCanBeDecidedThereIsNoSlider) {
  EXPECT_THAT(to_html(sample_run()), HasSubstr("id=\"controls\""));
  EXPECT_THAT(to_html(sample_scaling()), Not(HasSubstr("Which machine to rent")));
  std::vector<record::Record> records = sample_run();
  for (record::Record& record : records)
    record.reasons = {{"steal", "", 0.4, 0.1, record::Severity::invalid}};
  const std::string html = to_html(records);
  EXPECT_THAT(html, HasSubstr("Which machine to rent"));  // and why none
  EXPECT_THAT(html, Not(HasSubstr("id=\"controls\"")));
  EXPECT_THAT(html, Not(HasSubstr("id=\"cost\"")));
  EXPECT_THAT(html, HasSubstr("\"decision\":null"));
}

TEST(Html, LengthsAreCountedInBins) {
  std::vector<record::Record> records = sample_run();
  records[0].texts.token_counts = {10, 63, 64, 200, 201};
  const std::string html = to_html(records);
  EXPECT_THAT(html, HasSubstr("Lengths of the 5 texts"));
  EXPECT_THAT(html, HasSubstr("0 to 63"));
  EXPECT_THAT(html, HasSubstr("192 to 255"));
  records[0].texts.token_counts = {0, std::numeric_limits<std::uint32_t>::max()};
  EXPECT_LT(to_html(records).size(), 1'000'000U);
}

}  // namespace
}  // namespace breakeven::report
