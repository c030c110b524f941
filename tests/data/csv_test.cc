#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/csv_reader.h"
#include "helpers.h"

namespace breakeven::data {
namespace {

using ::testing::ElementsAre;

using Records = std::vector<std::vector<std::string>>;

Result<Records> records_of(std::string_view content, char separator = ',',
                           std::size_t max_bytes = 1000) {
  LineReader lines(bytes_of(content, "t.csv"), max_bytes);
  CsvReader reader(lines, separator);
  Records records;
  std::vector<std::string> fields;
  for (;;) {
    BREAKEVEN_TRY(const bool found, reader.next(fields));
    if (!found) return records;
    records.push_back(fields);
  }
}

TEST(Csv, FollowsRfc4180) {
  EXPECT_EQ(records_of("a,b\r\nc,d\r\n").value(), (Records{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(records_of("a,b\nc,d").value(), (Records{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(records_of("\"a\",\"b\"\"q\"\"\",\"\"\n").value(), (Records{{"a", "b\"q\"", ""}}));
  EXPECT_EQ(records_of("\"x,y\",\"two\nlines\",\"three\r\n\r\nlines\"\n").value(),
            (Records{{"x,y", "two\nlines", "three\r\n\r\nlines"}}));
  EXPECT_EQ(records_of(",,\n").value(), (Records{{"", "", ""}}));
  EXPECT_EQ(records_of("\"a\"").value(), (Records{{"a"}}));
  EXPECT_EQ(records_of("5\" disk,b\n").value(), (Records{{"5\" disk", "b"}}));
  EXPECT_EQ(records_of("a\n\n\r\nb\n").value(), (Records{{"a"}, {"b"}}));
  EXPECT_EQ(records_of("\xEF\xBB\xBF\"a\",b\n").value(), (Records{{"a", "b"}}));
  EXPECT_EQ(records_of("a\tb,c\n", '\t').value(), (Records{{"a", "b,c"}}));
  EXPECT_EQ(records_of("").value(), Records{});
}

TEST(Csv, AQuoteThatNeverEndsIsNamedByItsLine) {
  EXPECT_REFUSED(records_of("a,b\nc,\"d\ne,f\ng,h\n"), "data/csv",
                 {"t.csv, line 2", "never closed"});
}

TEST(Csv, TextBehindAClosingQuoteIsRefused) {
  EXPECT_REFUSED(records_of("a,b\n\"c\"d,e\n"), "data/csv", {"t.csv, line 2", "field 1"});
}

TEST(Csv, ARecordOverTheLimitIsRefusedAlsoWhenItsLinesAreShort) {
  std::string content = "a\n\"";
  for (int i = 0; i < 100; ++i) content += "0123456789\n";
  content += "\"\n";
  EXPECT_TRUE(records_of(content, ',', 2000).has_value());
  EXPECT_REFUSED(records_of(content, ',', 500), "data/line-too-long",
                 {"t.csv, line 2", "500 bytes"});
}

class CsvSource : public ::testing::Test {
 protected:
  Result<std::vector<Review>> read(std::string_view content, const std::string& name = "t.csv") {
    options_.texts = put_file(folder_ / name, content);
    return all_of(options_);
  }
  testing::TempDir folder_;
  SourceOptions options_{.labels = {"NEGATIVE", "POSITIVE"}};
};

TEST_F(CsvSource, ReadsTextLabelAndPassesTheRestOn) {
  const auto reviews = read(
      "id,text,label,\"a "
      "\"\"b\"\"\"\r\n7,\"Good,\r\nreally\",positive,x\r\n8,Bad,NEG,\r\n9,?,,z\r\n");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_THAT(texts_of(*reviews), ElementsAre("Good,\r\nreally", "Bad", "?"));
  EXPECT_EQ((*reviews)[0].label, 1);
  EXPECT_EQ((*reviews)[1].label, 0);
  EXPECT_EQ((*reviews)[2].label, std::nullopt);
  EXPECT_EQ((*reviews)[0].extra, R"({"id":"7","a \"b\"":"x"})");
}

TEST_F(CsvSource, BytesOfTheTextStayAsTheyAre) {
  const auto reviews = read(std::string_view("text,x\na\0b\xFF,\xFF\n", 14));
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_EQ((*reviews)[0].text, std::string("a\0b\xFF", 4));
  EXPECT_EQ((*reviews)[0].extra, "{\"x\":\"\xEF\xBF\xBD\"}");
}

TEST_F(CsvSource, ReadsTabsWhenTheNameSaysSo) {
  const auto reviews = read("text\tlabel\nfine, thanks\t1\n", "t.tsv");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_EQ((*reviews)[0].text, "fine, thanks");
  EXPECT_EQ((*reviews)[0].label, 1);
}

TEST_F(CsvSource, NamesTheColumnsWhenTheTextIsMissing) {
  EXPECT_REFUSED(read("review,sentiment\nx,positive\n"), "data/missing-field",
                 {"t.csv, line 1", "'text'", "review, sentiment", "--text-field"});
}

TEST_F(CsvSource, AMissingLabelColumnIsAnErrorOnlyWhenLabelsAreAskedFor) {
  EXPECT_TRUE(read("text\nx\n").has_value());
  options_.label_required = true;
  EXPECT_REFUSED(read("text\nx\n"), "data/missing-field", {"'label'", "--label-field"});
}

TEST_F(CsvSource, RefusesRowsOfAnotherWidth) {
  EXPECT_REFUSED(read("text,label\nx,1\nHello, world,1\n"), "data/csv",
                 {"t.csv, line 3", "3 fields where the header has 2", "quotes"});
}

TEST_F(CsvSource, RefusesTwoColumnsOfOneName) {
  EXPECT_REFUSED(read("text,text\nx,y\n"), "data/csv", {"two columns are called 'text'"});
}

TEST_F(CsvSource, RefusesAnUnknownLabelWithItsLine) {
  EXPECT_REFUSED(read("text,label\nx,1\ny,great\n"), "data/unknown-label",
                 {"t.csv, line 3", "'great'", "NEGATIVE, POSITIVE", "0 to 1"});
}

TEST_F(CsvSource, RefusesAnEmptyFileAndOneWithoutRecords) {
  EXPECT_REFUSED(read(""), "data/empty", {"t.csv"});
  EXPECT_REFUSED(read("\n\n"), "data/empty", {"t.csv"});
  EXPECT_REFUSED(read("text,label\n"), "data/empty", {"t.csv", "header"});
}

}  // namespace
}  // namespace breakeven::data
