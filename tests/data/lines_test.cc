#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/bytes.h"
#include "helpers.h"

namespace breakeven::data {
namespace {

using ::testing::ElementsAre;

// Hands out its content in pieces of `size` bytes, as a pipe may.
class Pieces final : public ByteStream {
 public:
  Pieces(std::string_view content, std::size_t size) : content_(content), size_(size) {}
  Result<std::size_t> read(char* out, std::size_t size) override {
    const std::size_t count = std::min({size, size_, content_.size()});
    content_.copy(out, count);
    content_.remove_prefix(count);
    return count;
  }
  const std::string& name() const override { return name_; }

 private:
  std::string_view content_;
  std::size_t size_;
  std::string name_ = "pieces";
};

std::vector<std::string> lines_of(std::string_view content, std::size_t piece) {
  LineReader reader(std::make_unique<Pieces>(content, piece), 1000);
  std::vector<std::string> lines;
  while (auto line = reader.next().value()) lines.emplace_back(*line);
  return lines;
}

TEST(Lines, AreTheSameHoweverTheBytesArrive) {
  const std::string content = "\xEF\xBB\xBFone\r\n\ntwo" + std::string("\0\xFF", 2) + "\nlast";
  for (std::size_t piece = 1; piece < 20; ++piece) {
    EXPECT_THAT(lines_of(content, piece),
                ElementsAre("one\r\n", "\n", "two" + std::string("\0\xFF\n", 3), "last"))
        << piece;
  }
  EXPECT_THAT(lines_of("", 1), ElementsAre());
  EXPECT_THAT(lines_of("\n", 1), ElementsAre("\n"));
  EXPECT_THAT(lines_of("\xEF\xBB", 1), ElementsAre("\xEF\xBB"));
}

// Python's universal newlines.
TEST(Lines, EndWithLineFeedCarriageReturnOrBoth) {
  for (std::size_t piece = 1; piece < 12; ++piece) {
    EXPECT_THAT(lines_of("a\rb\r", piece), ElementsAre("a\r", "b\r")) << piece;
    EXPECT_THAT(lines_of("a\r\rb\r\nc\n\rd", piece),
                ElementsAre("a\r", "\r", "b\r\n", "c\n", "\r", "d"))
        << piece;
    EXPECT_THAT(lines_of("\r\n\r", piece), ElementsAre("\r\n", "\r")) << piece;
  }
  EXPECT_EQ(without_line_end("a\r"), "a");
  EXPECT_EQ(without_line_end("a\r\n"), "a");
}

// Each byte is looked at once, however the lines end: minutes otherwise.
TEST(Lines, ManyShortLinesOfCarriageReturnsTakeNoLonger) {
  std::string content;
  for (int i = 0; i < 3'000'000; ++i) content += "a\r";
  LineReader reader(bytes_of(content, "f"), 1000);
  while (reader.next().value()) {
  }
  EXPECT_EQ(reader.line(), 3'000'000U);
}

TEST(Lines, SkippedBytesCountTheirLines) {
  LineReader reader(std::make_unique<Pieces>("a\r\nb\rc\nd\n", 1), 1000);
  EXPECT_EQ(reader.ahead(7).value().substr(0, 7), "a\r\nb\rc\n");
  reader.skip(2);  // within "\r\n"
  EXPECT_EQ(reader.line(), 0U);
  reader.skip(5);
  EXPECT_EQ(reader.line(), 3U);
  EXPECT_EQ(reader.next().value(), "d\n");
}

TEST(Lines, LookingAheadTakesNothingAway) {
  LineReader reader(std::make_unique<Pieces>("\xEF\xBB\xBF{\n", 1), 1000);
  EXPECT_EQ(reader.ahead(1).value(), "{");
  EXPECT_EQ(reader.next().value(), "{\n");
  EXPECT_EQ(reader.line(), 1U);
}

TEST(Lines, TheLimitIsExactAndNamesTheLine) {
  const std::string content = "short\n" + std::string(100, 'x') + "\r\nend\n";
  LineReader enough(bytes_of(content, "f"), 100);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(enough.next().value().has_value());
  EXPECT_FALSE(enough.next().value().has_value());
  LineReader tight(bytes_of(content, "f"), 99);
  EXPECT_TRUE(tight.next().has_value());
  EXPECT_REFUSED(tight.next(), "data/line-too-long", {"f, line 2", "99 bytes"});
}

class LinesSource : public ::testing::Test {
 protected:
  Result<std::vector<Review>> read(std::string_view content, const std::string& name = "t.txt") {
    options_.texts = put_file(folder_ / name, content);
    return all_of(options_);
  }
  testing::TempDir folder_;
  SourceOptions options_;
};

TEST_F(LinesSource, EveryLineIsATextAlsoAnEmptyOne) {
  const auto reviews = read("one\n\n  two \r\n{\"text\":1}\nlast");
  ASSERT_TRUE(reviews.has_value());
  EXPECT_THAT(texts_of(*reviews), ElementsAre("one", "", "  two ", "{\"text\":1}", "last"));
  EXPECT_EQ((*reviews)[0].label, std::nullopt);
  EXPECT_EQ((*reviews)[0].extra, "");
}

TEST_F(LinesSource, NulAndBrokenUtf8ArePassedOn) {
  const auto reviews = read(std::string_view("a\0b\n\xFF\xFE\n", 7));
  ASSERT_TRUE(reviews.has_value());
  EXPECT_THAT(texts_of(*reviews), ElementsAre(std::string("a\0b", 3), "\xFF\xFE"));
}

TEST_F(LinesSource, ALineOf100MegabytesIsReadAndALongerOneRefused) {
  std::string content(kMaxTextBytes, 'x');
  content += "\nnext\n";
  {
    const auto reviews = read(content);
    ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
    ASSERT_EQ(reviews->size(), 2U);
    EXPECT_EQ((*reviews)[0].text.size(), kMaxTextBytes);
  }
  content.insert(0, "first\nx");
  EXPECT_REFUSED(read(content), "data/line-too-long",
                 {"t.txt, line 2", "100000000 bytes", "line breaks"});
}

TEST_F(LinesSource, RefusesMissingAndEmptyFiles) {
  EXPECT_REFUSED(read(""), "data/empty", {"t.txt"});
  options_.texts = (folder_ / "none.txt").string();
  EXPECT_REFUSED(all_of(options_), "file/missing", {"none.txt"});
}

}  // namespace
}  // namespace breakeven::data
