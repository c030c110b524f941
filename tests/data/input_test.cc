// What a file is compressed with and encoded in is found out by its content.
#include "data/input.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archives.h"
#include "helpers.h"

namespace breakeven::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kFilters[] = {"gzip", "bzip2", "xz",  "lzma",
                                    "lzip", "zstd",  "lz4", "compress"};

std::string zeros(std::size_t count) {
  return std::string(count, '\0');
}

// Every place near the ends, some between.
std::size_t step(std::size_t at, std::size_t size) {
  return at < 40 || size - at < 40 ? 1 : 97;
}

class Input : public ::testing::Test {
 protected:
  Result<std::vector<Review>> read(std::string_view content, const std::string& name) {
    options_.texts = put_file(folder_ / name, content);
    return all_of(options_);
  }
  Result<std::vector<Review>> read_file_at(const std::string& path) {
    options_.texts = path;
    return all_of(options_);
  }
  std::string packed(std::string_view text, const char* filter) {
    return compressed(folder_ / "scratch", text, filter);
  }
  std::string zip(const std::string& name, const Files& files, const char* password = nullptr) {
    return write_archive(folder_ / name, files, "none", "zip", password);
  }
  std::vector<std::string> texts(const Result<std::vector<Review>>& reviews) {
    EXPECT_TRUE(reviews.has_value()) << reviews.error().to_string();
    return reviews ? texts_of(*reviews) : std::vector<std::string>();
  }
  std::vector<std::string> assumptions() { return open_source(options_).value()->assumptions(); }

  testing::TempDir folder_;
  SourceOptions options_;
};

TEST_F(Input, EveryCompressionIsReadThrough) {
  for (const char* filter : kFilters) {
    SCOPED_TRACE(filter);
    const std::string lines = packed("one\ntwo\n", filter);
    EXPECT_THAT(texts(read(lines, "named by nothing")), ElementsAre("one", "two"));
    const std::string table = packed("text,id\n\"a, b\",1\n", filter);
    EXPECT_THAT(texts(read(table, "t.csv.gz")), ElementsAre("a, b"));
    EXPECT_THAT(texts(read(packed("{\"text\":\"x\"}\n", filter), "t")), ElementsAre("x"));
    // One inside of the other, and several one behind the other, are no less.
    EXPECT_THAT(texts(read(packed(lines, "gzip"), "t.txt.x.gz")), ElementsAre("one", "two"));
  }
  for (const char* filter : {"gzip", "bzip2", "xz", "lzip", "zstd", "lz4"}) {
    SCOPED_TRACE(filter);
    EXPECT_THAT(texts(read(packed("one\nt", filter) + packed("wo\n", filter), "t")),
                ElementsAre("one", "two"));
  }
  EXPECT_THAT(texts(read(packed("a\n", "gzip") + zeros(1000), "padded.gz")), ElementsAre("a"));
}

TEST_F(Input, ALargeCompressedFileIsReadWhole) {
  std::string content;
  for (int i = 0; i < 30'000; ++i) content += "text number " + std::to_string(i) + "\n";
  for (const char* filter : kFilters) {
    SCOPED_TRACE(filter);
    const auto reviews = read(packed(content, filter), "t.txt.x");
    ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
    ASSERT_EQ(reviews->size(), 30'000U);
    EXPECT_EQ(reviews->back().text, "text number 29999");
  }
}

// Wherever it is cut, and whatever byte is damaged: never fewer or other texts without an error.
TEST_F(Input, CutAndDamagedFilesAreErrors) {
  std::string content;
  for (int i = 0; i < 300; ++i) content += fmt::format("a text {} of its own\n", i * 7919 % 1000);
  for (const char* filter : {"gzip", "bzip2", "xz", "lzip"}) {
    SCOPED_TRACE(filter);
    const std::string whole = packed(content, filter);
    const std::string name = "t.txt";
    for (std::size_t cut = 10; cut < whole.size(); cut += step(cut, whole.size())) {
      const auto reviews = read(whole.substr(0, cut), name);
      ASSERT_FALSE(reviews.has_value()) << cut;
      EXPECT_EQ(reviews.error().code, "data/archive-corrupt") << cut << reviews.error().to_string();
      EXPECT_THAT(reviews.error().message, HasSubstr("t.txt"));
    }
    const auto good = texts(read(whole, name));
    for (std::size_t at = 10; at < whole.size(); at += step(at, whole.size())) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      const auto reviews = read(damaged, name);
      if (reviews.has_value()) {
        EXPECT_EQ(texts_of(*reviews), good) << at;
      }
    }
  }
  // These have no sum, or need not have one: cut off is told all the same.
  for (const char* filter : {"zstd", "lz4"}) {
    SCOPED_TRACE(filter);
    const std::string whole = packed(content, filter);
    for (std::size_t cut = 8; cut + 1 < whole.size(); cut += step(cut, whole.size())) {
      EXPECT_FALSE(read(whole.substr(0, cut), "t").has_value()) << cut;
    }
  }
}

TEST_F(Input, AFileThatIsCutWithinItsFirstBytesIsKnownByItsName) {
  EXPECT_REFUSED(read("\x1F", "t.jsonl.gz"), "data/archive-corrupt", {"t.jsonl.gz", "cut off"});
  EXPECT_REFUSED(read("\x1F\x8B", "t.jsonl.gz"), "data/archive-corrupt", {"t.jsonl.gz", "cut off"});
  EXPECT_REFUSED(read("\xFD"
                      "7z",
                      "t.xz"),
                 "data/archive-corrupt", {"t.xz"});
  EXPECT_REFUSED(read("BZ", "t.bz2"), "data/archive-corrupt", {"t.bz2"});
  EXPECT_THAT(texts(read("BZh9 was the name of the plane\n", "t.txt")),
              ElementsAre("BZh9 was the name of the plane"));
}

TEST_F(Input, OtherBytesBehindTheEndAreAnError) {
  for (const char* filter : {"gzip", "bzip2", "xz", "zstd", "lz4"}) {
    SCOPED_TRACE(filter);
    EXPECT_REFUSED(read(packed("one\n", filter) + "two\nthree, a longer line\n", "t"),
                   "data/archive-corrupt", {"/t"});
  }
}

TEST_F(Input, AnEmptyTextIsEmptyHoweverItIsPacked) {
  for (const char* filter : {"gzip", "bzip2", "xz", "zstd"}) {
    SCOPED_TRACE(filter);
    EXPECT_REFUSED(read(packed("", filter), "t"), "data/empty", {"/t is empty"});
  }
  EXPECT_REFUSED(read("\xFF\xFE", "t"), "data/empty", {"/t is empty"});
}

TEST_F(Input, ABombEndsAtTheLimitOfALine) {
  const std::string bomb = packed(packed(zeros(200'000'000), "gzip"), "gzip");
  ASSERT_LT(bomb.size(), 10'000U);
  options_.encoding = Encoding::utf8;  // zeros are refused before otherwise
  EXPECT_REFUSED(read(bomb, "t.txt"), "data/line-too-long", {"line 1"});
}

TEST_F(Input, NoMoreThanFourLayers) {
  std::string content = "one\n";
  for (int i = 0; i < 4; ++i) content = packed(content, "gzip");
  EXPECT_THAT(texts(read(content, "t")), ElementsAre("one"));
  EXPECT_REFUSED(read(packed(content, "gzip"), "t"), "data/archive-corrupt", {"more than 4 times"});
}

TEST_F(Input, AnotherNameThanTheContentIsNoObstacle) {
  EXPECT_THAT(texts(read("{\"text\":\"a\"}\n", "t.jsonl.gz")), ElementsAre("a"));
  EXPECT_THAT(assumptions(), ElementsAre(HasSubstr("t.jsonl.gz is not compressed")));
  EXPECT_THAT(texts(read(packed("{\"text\":\"a\"}\n", "xz"), "t.jsonl")), ElementsAre("a"));
  EXPECT_THAT(assumptions(), ElementsAre());
}

TEST_F(Input, TheOneFileOfAZipArchiveIsRead) {
  EXPECT_THAT(texts(read_file_at(zip("a.zip", {{"in/train.csv", "text,x\na,1\n"}}))),
              ElementsAre("a"));
  EXPECT_THAT(texts(read_file_at(zip("b.zip", {{"t.jsonl", "{\"text\":\"a\"}\n"},
                                               {"__MACOSX/._t.jsonl", "\1\2"},
                                               {".DS_Store", "\1\2"}}))),
              ElementsAre("a"));
  EXPECT_THAT(texts(read_file_at(zip("n.zip", {{"\xD1\x82.csv", "text\na\n"}}))), ElementsAre("a"));
  EXPECT_THAT(texts(read_file_at(zip("c.zip", {{"t.csv.gz", packed("text\nb\n", "gzip")}}))),
              ElementsAre("b"));
  // Where the list of files at the end cannot be read first.
  const std::string one = read_file(zip("d.zip", {{"t.csv", "text\nb\n"}})).value();
  EXPECT_THAT(texts(read(packed(one, "gzip"), "t.zip.gz")), ElementsAre("b"));
}

TEST_F(Input, OtherZipArchivesAreRefusedByName) {
  EXPECT_REFUSED(read_file_at(zip("a.zip", {{"a.csv", "text\n1\n"}, {"b.csv", "text\n2\n"}})),
                 "data/archive-members", {"a.zip holds 2 files", "a.csv, b.csv", "unzip -p"});
  Files many;
  for (int i = 0; i < 20; ++i) many[fmt::format("{:02}.csv", i)] = "text\n1\n";
  EXPECT_REFUSED(read_file_at(zip("m.zip", many)), "data/archive-members",
                 {"20 files", "05.csv, ..."});
  EXPECT_REFUSED(read_file_at(zip("e.zip", {})), "data/binary", {"e.zip", "holds no file"});
  EXPECT_REFUSED(read_file_at(zip("p.zip", {{"a.csv", "text\n1\n"}}, "secret")),
                 "data/archive-members", {"'a.csv'", "encrypted"});
  const std::string two = read_file(zip("t.zip", {{"a", "1\n"}, {"b", "2\n"}})).value();
  EXPECT_REFUSED(read(packed(two, "gzip"), "t.zip.gz"), "data/archive-members",
                 {"holds 'a' and, behind it, 'b'"});
  const std::string one = read_file(zip("o.zip", {{"a.txt", "a text\nand another\n"}})).value();
  for (std::size_t cut = 4; cut < one.size(); ++cut) {
    const auto reviews = read(one.substr(0, cut), "cut.zip");
    ASSERT_FALSE(reviews.has_value()) << cut;
    EXPECT_THAT(reviews.error().code, ::testing::StartsWith("data/archive")) << cut;
  }
}

TEST_F(Input, ATarArchiveIsImdbsOrRefused) {
  EXPECT_REFUSED(read_file_at(write_archive(folder_ / "t.bin", {{"t.jsonl", "x"}}, "gzip")),
                 "data/no-reviews", {"t.bin", "tar -xOf"});
  EXPECT_THAT(texts(read_file_at(
                  write_archive(folder_ / "any", {{"aclImdb/test/pos/1_9.txt", "good"}}, "zstd"))),
              ElementsAre("good"));
}

TEST_F(Input, FilesThatHoldNoTextAreRefusedByName) {
  const std::vector<std::tuple<std::string, std::string, std::string>> files = {
      {"PAR1\x15\x04\x15", "a Parquet file", "read_parquet('"},
      {"ARROW1" + zeros(2), "an Arrow file", "read_feather('"},
      {"\xFF\xFF\xFF\xFF\x10" + zeros(3), "an Arrow stream", "from_file('"},
      {"\x80\x04\x95\x10", "a Python pickle", "that you trust"},
      {"\x93NUMPY\x01" + zeros(1), "a NumPy array", "numpy.load('"},
      {"%PDF-1.7\n", "a PDF file", "pdftotext"},
      {"\x89PNG\r\n\x1A\n", "a PNG image", "file of texts"},
      {"\xFF\xD8\xFF\xE0", "a JPEG image", "file of texts"},
      {"RIFF" + zeros(4) + "WEBP", "a WebP image", "file of texts"},
      {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Excel", "read_excel('"},
      {"SQLite format 3" + zeros(1), "an SQLite database", "sqlite3"},
      {"7z\xBC\xAF\x27\x1C", "a 7z archive", "unpack"},
      {"\x40" + zeros(7) + "{\"__metadata__\"", "safetensors", "--model"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"},
  };
  for (const auto& [content, kind, hint] : files) {
    for (const char* name : {"t", "t.csv", "t.txt", "t.jsonl"}) {
      EXPECT_REFUSED(read(content, name), "data/binary", {kind, hint, name});
    }
    EXPECT_REFUSED(read(packed(content, "gzip"), "t.gz"), "data/binary", {kind});
  }
  EXPECT_REFUSED(
      read_file_at(zip("t.xlsx", {{"[Content_Types].xml", "<x/>"}, {"xl/workbook.xml", "<x/>"}})),
      "data/binary", {"t.xlsx is an Excel file", "read_excel('"});
  EXPECT_REFUSED(read_file_at(zip("t.npz", {{"a.npy", "\x93NUMPY"}})), "data/binary",
                 {"a NumPy archive"});
  // Words that begin like the others.
  for (const std::string text :
       {"PAR1 was late", "ORC is a word", "RIFFRAFF WEBP", "GGUF files", "II* star"}) {
    EXPECT_THAT(texts(read(text + "\n", "t.txt")), ElementsAre(text));
  }
}

TEST_F(Input, UnknownBinaryFilesAreRefusedUnlessAnEncodingIsGiven) {
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 5000; ++i) {
    state = state * 1664525 + 1013904223;
    noise += static_cast<char>(state >> 24);
  }
  EXPECT_REFUSED(read("x" + noise, "t.txt"), "data/binary",
                 {"t.txt", "control characters", "--encoding"});
  EXPECT_REFUSED(read(zeros(100), "t.txt"), "data/binary", {"t.txt"});
  EXPECT_REFUSED(read(zeros(1), "t.txt"), "data/binary", {"t.txt"});
  options_.encoding = Encoding::utf8;
  EXPECT_TRUE(read("x" + noise, "t.txt").has_value());
  options_.encoding.reset();
  // A NUL here and there, colours of a terminal, and other alphabets are text.
  const std::string text = "a text with a " + zeros(1) + " in it, \x1B[31mred\x1B[0m\n";
  EXPECT_TRUE(read(text, "t.txt").has_value());
  std::string latin;
  for (int i = 0; i < 100; ++i)
    latin +=
        "\xE9t\xE9 \xFC"
        "ber \xC0\n";
  EXPECT_TRUE(read(latin, "t.txt").has_value());
}

std::string utf16(std::u16string_view text, bool big, bool mark) {
  std::string out;
  const auto add = [&](char16_t unit) {
    const char low = static_cast<char>(unit & 0xFF);
    const char high = static_cast<char>(unit >> 8);
    out += big ? high : low;
    out += big ? low : high;
  };
  if (mark) add(0xFEFF);
  for (const char16_t unit : text) add(unit);
  return out;
}

std::string utf32(std::u32string_view text, bool big, bool mark) {
  std::string out;
  const auto add = [&](char32_t unit) {
    for (unsigned i = 0; i < 4; ++i) out += static_cast<char>(unit >> 8 * (big ? 3 - i : i) & 0xFF);
  };
  if (mark) add(0xFEFF);
  for (const char32_t unit : text) add(unit);
  return out;
}

TEST_F(Input, Utf16And32AreReadByTheirMarkOrByTheFlag) {
  const std::u16string text = u"der f\u00FClm \u4E2D \U0001F600\r\nzwei\n";
  const std::u32string text32 = U"der f\u00FClm \u4E2D \U0001F600\r\nzwei\n";
  const auto right = ElementsAre("der f\xC3\xBClm \xE4\xB8\xAD \xF0\x9F\x98\x80", "zwei");
  for (const bool big : {false, true}) {
    EXPECT_THAT(texts(read(utf16(text, big, true), "t.txt")), right);
    EXPECT_THAT(texts(read(utf32(text32, big, true), "t.txt")), right);
    EXPECT_THAT(texts(read(packed(utf16(text, big, true), "gzip"), "t.txt.gz")), right);
    EXPECT_REFUSED(
        read(utf16(text, big, false), "t.txt"), "data/binary",
        {"UTF-16 without a byte order mark", big ? "--encoding utf-16be" : "--encoding utf-16le"});
    EXPECT_REFUSED(read(utf32(text32, big, false), "t.txt"), "data/binary",
                   {"t.txt", "--encoding"});
    for (const bool mark : {false, true}) {
      options_.encoding = big ? Encoding::utf16be : Encoding::utf16le;
      EXPECT_THAT(texts(read(utf16(text, big, mark), "t.txt")), right);
      options_.encoding = big ? Encoding::utf32be : Encoding::utf32le;
      EXPECT_THAT(texts(read(utf32(text32, big, mark), "t.txt")), right);
    }
    options_.encoding = Encoding::utf16;
    EXPECT_THAT(texts(read(utf16(text, big, true), "t.txt")), right);
    options_.encoding.reset();
  }
  const std::u16string chinese = u"\u4E2D\u6587\u6D4B\u8BD5\u4E00\u4E0B\n\u8FD9\u4E2A\n";
  EXPECT_REFUSED(read(utf16(chinese, false, false), "t.txt"), "data/binary", {"utf-16le"});
  EXPECT_REFUSED(read(utf16(chinese, true, false), "t.txt"), "data/binary", {"utf-16be"});
  EXPECT_THAT(texts(read(utf16(u"text;x\r\na;1\r\n", false, true), "t.csv")), ElementsAre("a"));
  EXPECT_THAT(texts(read(utf16(u"[{\"text\":\"a\"}]", true, true), "t")), ElementsAre("a"));
}

TEST_F(Input, WhatCannotBeDecodedIsReplacedAndCounted) {
  // A high surrogate alone, a low one alone, and half a unit at the end.
  options_.texts = put_file(folder_ / "t.txt", utf16(std::u16string(u"a") + char16_t{0xD83D} +
                                                         u"b\n" + char16_t{0xDE00} + u"c",
                                                     false, true) +
                                                   "x");
  const auto source = open_source(options_).value();
  EXPECT_EQ(source->next().value()->text,
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(source->next().value()->text,
            "\xEF\xBF\xBD"
            "c\xEF\xBF\xBD");
  EXPECT_THAT(source->losses(), HasSubstr("t.txt: 3 places are no utf-16le"));
  options_.encoding = Encoding::utf32le;
  EXPECT_THAT(
      texts(read(utf32(U"a", false, false) + utf32(std::u32string(1, 0x110000), false, false),
                 "t.txt")),
      ElementsAre("a\xEF\xBF\xBD"));
}

TEST_F(Input, Latin1AndWindows1252AreReadByTheFlag) {
  const std::string content = "caf\xE9 \x93quoted\x94 \x80 5\n";
  options_.encoding = Encoding::cp1252;
  EXPECT_THAT(texts(read(content, "t.txt")),
              ElementsAre("caf\xC3\xA9 \xE2\x80\x9Cquoted\xE2\x80\x9D \xE2\x82\xAC 5"));
  options_.encoding = Encoding::latin1;
  EXPECT_THAT(texts(read(content, "t.txt")),
              ElementsAre("caf\xC3\xA9 \xC2\x93quoted\xC2\x94 \xC2\x80 5"));
}

TEST_F(Input, BytesThatAreNoUtf8AreCountedWithTheirFirstLine) {
  for (const char* name : {"t.txt", "t.csv", "t.jsonl"}) {
    SCOPED_TRACE(name);
    const bool json = std::string_view(name) == "t.jsonl";
    options_.texts =
        put_file(folder_ / name, json ? "{\"text\":\"a\"}\n{\"text\":\"caf\xE9 \xE2\x82\"}\n"
                                      : "text\ncaf\xE9 \xE2\x82\n");
    const auto source = open_source(options_).value();
    while (source->next().value()) {
    }
    EXPECT_THAT(source->losses(), HasSubstr("2 places are no UTF-8, the first in line 2"));
    EXPECT_THAT(source->losses(), HasSubstr("--encoding cp1252"));
    EXPECT_THAT(read_reviews(options_, 9).value().remarks, ElementsAre(source->losses()));
    EXPECT_EQ(read_reviews(options_, 9).value().note, source->losses());
  }
  EXPECT_EQ(open_source({.texts = put_file(folder_ / "u", "caf\xC3\xA9\n")}).value()->losses(), "");
}

TEST_F(Input, AnEncodingThatTheMarkContradictsIsRefused) {
  options_.encoding = Encoding::latin1;
  EXPECT_REFUSED(read("\xEF\xBB\xBFtext\n", "t.txt"), "data/encoding",
                 {"t.txt", "mark of utf-8", "latin-1"});
  options_.encoding = Encoding::utf16be;
  EXPECT_REFUSED(read(utf16(u"a", false, true), "t.txt"), "data/encoding",
                 {"utf-16le", "utf-16be"});
}

TEST(Encodings, AreKnownByTheNamesThatPythonTakes) {
  EXPECT_EQ(parse_encoding("latin-1").value(), Encoding::latin1);
  EXPECT_EQ(parse_encoding("ISO_8859-1").value(), Encoding::latin1);
  EXPECT_EQ(parse_encoding("Windows-1252").value(), Encoding::cp1252);
  EXPECT_EQ(parse_encoding("UTF-16LE").value(), Encoding::utf16le);
  EXPECT_EQ(parse_encoding("utf_8").value(), Encoding::utf8);
  EXPECT_REFUSED(parse_encoding("koi8-r"), "data/encoding", {"'koi8-r'", "iconv -f NAME"});
}

}  // namespace
}  // namespace breakeven::data
