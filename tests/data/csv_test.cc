#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "data/csv_reader.h"
#include "helpers.h"

namespace breakeven::data {
namespace {

using ::testing::ElementsAre;

using Records = std::vector<std::vector<std::string>>;

Result<Records> records_of(std::string_view content, char separator = ',',
                           std::size_t max_bytes = 1000) {
  LineReader lines(bytes_of(content, "t.csv"), max_bytes);
  CsvReader reader(lines, {separator});
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

using ::testing::HasSubstr;

TEST_F(CsvSource, TheHeaderShowsTheSeparator) {
  for (const char separator : {';', '\t', '|', ','}) {
    std::string content = "id;text;label\n1;fine. thanks;1\n";
    std::replace(content.begin(), content.end(), ';', separator);
    const auto reviews = read(content);
    ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
    EXPECT_THAT(texts_of(*reviews), ElementsAre("fine. thanks"));
    const auto told = open_source(options_).value()->assumptions();
    if (separator == ',') {
      EXPECT_THAT(told, ElementsAre());
    } else {
      EXPECT_THAT(
          told, ElementsAre(HasSubstr(separator == '\t' ? "the tab" : std::string(1, separator))));
    }
  }
  EXPECT_THAT(texts_of(read("text,id\na,1\n", "t.tsv").value()), ElementsAre("a"));
  EXPECT_THAT(texts_of(read("text\nno; separator | here\n").value()),
              ElementsAre("no; separator | here"));
  EXPECT_THAT(texts_of(read("sep=;\r\ntext;id\r\na,b;1\r\n").value()), ElementsAre("a,b"));
  EXPECT_REFUSED(read("review;stars\nx;1\n"), "data/missing-field", {"review, stars"});
}

TEST_F(CsvSource, TheSeparatorCanBeGiven) {
  options_.separator = parse_separator("#").value();
  EXPECT_THAT(texts_of(read("text#a,text\nx#1\n").value()), ElementsAre("x"));
  EXPECT_EQ(parse_separator("tab").value(), '\t');
  EXPECT_EQ(parse_separator("\\t").value(), '\t');
  EXPECT_EQ(parse_separator("").value(), '\0');
  for (const char* wrong : {"ab", "\"", " ", "\n", "\xC3\xA9"}) {
    EXPECT_REFUSED(parse_separator(wrong), "data/format", {"--csv-separator", "tab"});
  }
}

TEST_F(CsvSource, WithoutAHeaderColumnsHaveNumbers) {
  options_.header = false;
  options_.text_field = "3";
  options_.label_field = "1";
  const auto reviews = read("1,\"Stock\",\"up, up\"\n0,Film,bad\n");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_THAT(texts_of(*reviews), ElementsAre("up, up", "bad"));
  EXPECT_EQ((*reviews)[0].label, 1);
  EXPECT_EQ((*reviews)[1].label, 0);
  EXPECT_EQ((*reviews)[0].extra, "{\"column_2\":\"Stock\"}");
  options_.label_field = "";
  options_.text_field = "1";
  EXPECT_THAT(texts_of(read("one\n").value()), ElementsAre("one"));
  for (const char* wrong : {"text", "0", "4", "-1", "1.0"}) {
    options_.text_field = wrong;
    EXPECT_REFUSED(read("a,b,c\n"), "data/missing-field", {wrong, "1 to 3"});
  }
  options_.header = true;
  options_.text_field = "text";
  EXPECT_REFUSED(read("3,\"Stock\",\"up\"\n"), "data/missing-field",
                 {"--no-header", "--text-field 3"});
}

TEST_F(CsvSource, PairsAreColumns) {
  const auto found = read("id;hypothesis;premise\n1;b;a\n2;;\"c;\"\n");
  ASSERT_TRUE(found.has_value()) << found.error().to_string();
  EXPECT_THAT(texts_of(*found), ElementsAre("a", "c;"));
  EXPECT_THAT(seconds_of(*found), ElementsAre("b", ""));
  EXPECT_EQ((*found)[0].extra, "{\"id\":\"1\"}");
  const auto said = open_source(options_).value()->assumptions();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_NE(said[1].find("a pair, 'premise' and 'hypothesis'"), std::string::npos);
  EXPECT_REFUSED(read("query,passage,premise,hypothesis\n1,2,3,4\n"), "data/ambiguous-pair",
                 {"--pair-field"});
  options_.header = false;
  options_.text_field = "2";
  options_.pair_field = "1";
  EXPECT_THAT(seconds_of(*read("b,a\n")), ElementsAre("b"));
  options_.pair_field = "3";
  EXPECT_REFUSED(read("b,a\n"), "data/missing-field", {"'3'", "--pair-field"});
}

TEST_F(CsvSource, ABlankBesideAColumnsNameDoesNotHideIt) {
  EXPECT_THAT(texts_of(read("id, text, label\n1,a,1\n").value()), ElementsAre("a"));
  EXPECT_THAT(texts_of(read("text, text\n1,a\n").value()), ElementsAre("1"));
}

// As spreadsheets write a sheet that was wider once, and pandas its index.
TEST_F(CsvSource, ColumnsWithoutANameAreCalledByTheirNumbers) {
  const auto reviews = read(",text, ,\n0,good,x,\n1,bad,,y\n");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_THAT(texts_of(*reviews), ElementsAre("good", "bad"));
  EXPECT_EQ((*reviews)[0].extra, R"({"column_1":"0","column_3":"x","column_4":""})");
}

TEST_F(CsvSource, LinesMayEndAsOnOldMacs) {
  EXPECT_THAT(texts_of(read("text,id\ra,1\r\"b\rc\",2\r").value()), ElementsAre("a", "b\rc"));
}

// As GLUE writes: a quote is a letter.
TEST_F(CsvSource, QuotesBetweenTabsThatDoNotCloseAreLetters) {
  const std::string closing_elsewhere =
      "text\tlabel\n\" the film was good\t1\nterrible service \"\t0\nbad\t0\n";
  const std::string never_closed = "text\tlabel\n\" so good\t1\n\"fine\"\t1\n\"a\" b\t0\n";
  EXPECT_THAT(texts_of(read(closing_elsewhere, "t.tsv").value()),
              ElementsAre("\" the film was good", "terrible service \"", "bad"));
  EXPECT_THAT(open_source(options_).value()->assumptions(),
              ElementsAre(HasSubstr("quotes are read as letters")));
  EXPECT_THAT(texts_of(read(never_closed, "t.tsv").value()),
              ElementsAre("\" so good", "\"fine\"", "\"a\" b"));
  options_.quoting = Quoting::on;
  EXPECT_THAT(texts_of(read(closing_elsewhere, "t.tsv").value()),
              ElementsAre(" the film was good\t1\nterrible service ", "bad"));
  EXPECT_REFUSED(read(never_closed, "t.tsv"), "data/csv", {"--csv-quoting off"});
  options_.quoting = Quoting::off;
  EXPECT_THAT(texts_of(read("text,id\n\"a\",1\n", "t.csv").value()), ElementsAre("\"a\""));
}

// As pandas writes: quotes where a field needs them.
TEST_F(CsvSource, QuotesBetweenTabsThatCloseAreQuotes) {
  const auto reviews =
      read("label\ttext\n1\t\"two\nlines\"\n0\t\"a \"\"word\"\"\"\n1\t\"a\ttab\"\n", "t.tsv");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_THAT(texts_of(*reviews), ElementsAre("two\nlines", "a \"word\"", "a\ttab"));
  EXPECT_THAT(open_source(options_).value()->assumptions(), ElementsAre());
}

// Too far behind to be seen before: an error, not two records read as one.
TEST_F(CsvSource, AQuoteBetweenTabsThatMayMeanEitherIsRefused) {
  std::string content = "text\tlabel\n";
  while (content.size() < 2 * LineReader::kMaxFirstLine) content += "some text\t1\n";
  content += "\" so good\t1\nso \"\t0\n";
  EXPECT_REFUSED(read(content, "t.tsv"), "data/csv",
                 {"closes in another line", "--csv-quoting off"});
  options_.quoting = Quoting::off;
  EXPECT_EQ(texts_of(read(content, "t.tsv").value()).back(), "so \"");
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
