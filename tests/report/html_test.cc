// The HTML report and its charts. That a browser's parser agrees is tests/cli/html_test.py's part.
#include "report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "report/charts.h"
#include "report/sample_records.h"
#include "report/svg.h"

namespace breakeven::report {
namespace {

using breakeven::testing::sample_paced;
using breakeven::testing::sample_run;
using breakeven::testing::sample_run_of_runtimes;
using breakeven::testing::sample_scaling;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(Escape, EveryCharacterThatMeansSomething) {
  EXPECT_EQ(escape_html("<script>\"a\" & 'b'</script>"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;");
  EXPECT_EQ(escape_html("a\tb\nc\x1b[31m\x7f"), "a b c [31m ");
  EXPECT_EQ(escape_html("caf\xc3\xa9"), "caf\xc3\xa9");
}

TEST(Ticks, RoundNumbersThatHoldBothEnds) {
  EXPECT_THAT(ticks(0, 100, false), ElementsAre(0, 20, 40, 60, 80, 100));
  EXPECT_THAT(ticks(1, 32, true), ElementsAre(1, 2, 5, 10, 20, 50));
  EXPECT_THAT(ticks(3, 3, true), ElementsAre(2, 5));
  EXPECT_THAT(ticks(1, 100000, true), ElementsAre(1, 10, 100, 1000, 10000, 100000));
  for (const bool logarithmic : {false, true}) {
    for (const double low : {1e-11, 0.3, 1.0, 7.7, 999.0, 1e14}) {
      for (const double factor : {1.0, 1.001, 3.0, 1e4}) {
        const auto marks = ticks(low, low * factor, logarithmic);
        ASSERT_GE(marks.size(), 2U);
        EXPECT_LE(marks.size(), 16U) << low << " " << factor;
        EXPECT_LE(marks.front(), low * (1 + 1e-9));
        EXPECT_GE(marks.back(), low * factor * (1 - 1e-9));
        EXPECT_TRUE(std::is_sorted(marks.begin(), marks.end()));
      }
    }
  }
}

TEST(LineChart, DrawsEveryPointWithItsIntervalAndLabel) {
  LineChart chart{"A title", "x", "y", true, true, {}};
  chart.series.push_back({"first", {{1, 10, 9, 11, "here"}, {8, 40, {}, {}, "there"}}});
  chart.series.push_back({"second", {{1, 100, {}, {}, "up"}}});
  const std::string html = to_html(chart);
  EXPECT_EQ(count_of(html, "<circle"), 3U);  // two points and the legend
  EXPECT_EQ(count_of(html, "<polygon"), 2U);
  EXPECT_EQ(count_of(html, "stroke-width=\"1.5\""), 1U);
  EXPECT_THAT(html, HasSubstr("<title>there</title>"));
  EXPECT_THAT(html, HasSubstr("second"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(LineChart, HigherValuesAreHigherAndLaterOnesFurtherRight) {
  LineChart chart{"t", "x", "y", false, false, {{"s", {{1, 10}, {2, 30}, {4, 20}}}}};
  const std::string html = to_html(chart);
  std::vector<double> xs;
  std::vector<double> ys;
  for (std::size_t at = html.find("<circle cx=\""); xs.size() < 3;
       at = html.find("<circle cx=\"", at + 1)) {
    ASSERT_NE(at, std::string::npos);
    xs.push_back(std::stod(html.substr(at + 12)));
    ys.push_back(std::stod(html.substr(html.find("cy=\"", at) + 4)));
  }
  EXPECT_LT(xs[0], xs[1]);
  EXPECT_NEAR(xs[2] - xs[1], 2 * (xs[1] - xs[0]), 0.05);
  EXPECT_GT(ys[0], ys[2]);
  EXPECT_NEAR(ys[0] - ys[2], ys[2] - ys[1], 0.05);
}

TEST(LineChart, NothingToDrawIsNothing) {
  EXPECT_EQ(to_html(LineChart{}), "");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(to_html(LineChart{"t", "x", "y", true, true, {{"s", {{nan, 1}, {1, inf}}}}}), "");
  // A value at or below 0 makes the axis linear.
  const std::string html =
      to_html(LineChart{"t", "x", "y", true, true, {{"s", {{0, -1}, {1, 2}}}}});
  EXPECT_EQ(count_of(html, "<circle"), 3U);
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  for (const double size : {1e-300, 1e300}) {
    EXPECT_EQ(to_html(LineChart{"t", "x", "y", true, false, {{"s", {{1, size}}}}}), "");
  }
}

TEST(LineChart, MoreSeriesThanCanBeToldApartAreCounted) {
  LineChart chart{"t", "x", "y", false, false, {}};
  for (int i = 0; i < 11; ++i) chart.series.push_back({"s" + std::to_string(i), {{1.0 * i, 1}}});
  EXPECT_THAT(to_html(chart), HasSubstr("3 more are not drawn"));
}

TEST(BarChart, SegmentsAreAsWideAsTheirValues) {
  BarChart chart{"t", "ms", {"a", "b"}, {{"one", {10, 30}, "40"}, {"two", {20, 0}, "20"}}, false};
  const std::string html = to_html(chart);
  std::vector<double> widths;
  for (std::size_t at = html.find("<rect"); at != std::string::npos;
       at = html.find("<rect", at + 1)) {
    widths.push_back(std::stod(html.substr(html.find("width=\"", at) + 7)));
  }
  ASSERT_EQ(widths.size(), 4U);
  EXPECT_NEAR(widths[1], 3 * widths[0], 0.05);
  EXPECT_NEAR(widths[2], 2 * widths[0], 0.05);
  EXPECT_EQ(widths[3], 0);
  chart.as_shares = true;
  EXPECT_NE(to_html(chart), html);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(to_html(BarChart{"t", "ms", {"a"}, {{"one", {nan}, ""}, {"two", {-1}, ""}}, false}),
            "");
  EXPECT_EQ(to_html(BarChart{}), "");
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
  EXPECT_LT(html.find("<h2>Verdict</h2>"), html.find("<h2>Charts</h2>"));
  EXPECT_LT(html.find("<h2>Charts</h2>"), html.find("Serial: latency"));
  EXPECT_THAT(html, Not(HasSubstr("http:")));
  EXPECT_THAT(html, Not(HasSubstr("https:")));
  EXPECT_THAT(html, Not(HasSubstr("src=")));
}

TEST(Html, PacedRowsAndScalingHaveTheirCharts) {
  EXPECT_THAT(to_html(sample_paced()), HasSubstr("Latency under a load"));
  EXPECT_THAT(to_html(sample_scaling()), HasSubstr("Time over the number of texts"));
  EXPECT_THAT(to_html(std::vector<record::Record>{}), HasSubstr("No records."));
}

TEST(Html, RowsThatDoNotCountAreInNoChart) {
  std::vector<record::Record> records = sample_run();
  for (record::Record& record : records) record.verdict = record::Verdict::invalid;
  EXPECT_TRUE(charts(records).empty());
  records[0].verdict = record::Verdict::noisy;
  EXPECT_FALSE(charts(records).empty());
  records[0].parity->outcome = "failed";
  EXPECT_TRUE(charts(records).empty());
}

TEST(Html, LengthsAreCountedInBins) {
  std::vector<record::Record> records = sample_run();
  records[0].texts.token_counts = {10, 63, 64, 200, 201};
  const std::string html = to_html(records);
  EXPECT_THAT(html, HasSubstr("Lengths of the 5 texts"));
  EXPECT_THAT(html, HasSubstr("0 to 63 tokens"));
  EXPECT_THAT(html, HasSubstr("192 to 255 tokens"));
  records[0].texts.token_counts = {0, std::numeric_limits<std::uint32_t>::max()};
  EXPECT_LT(to_html(records).size(), 1'000'000U);
}

}  // namespace
}  // namespace breakeven::report
