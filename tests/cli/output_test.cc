#include "cli/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/files.h"
#include "testing/paths.h"

namespace breakeven::cli {
namespace {

class OutputTest : public ::testing::Test {
 protected:
  std::string content() { return read_file(path_).value(); }
  testing::TempDir dir_;
  std::string path_ = (dir_ / "out.jsonl").string();
};

TEST_F(OutputTest, WritesAndCountsRecords) {
  Output output = Output::open(path_, "-").value();
  EXPECT_TRUE(output.write("a\nb\n", 2).has_value());
  EXPECT_TRUE(output.write("c\n", 1).has_value());
  EXPECT_EQ(output.records(), 3U);
  EXPECT_EQ(output.name(), path_);
  EXPECT_TRUE(output.close().has_value());
  EXPECT_EQ(content(), "a\nb\nc\n");
}

TEST_F(OutputTest, AnOldFileKeepsItsContentUntilThereIsAResult) {
  std::ofstream(path_) << "old content that is longer\n";
  { const Output unused = Output::open(path_, "-").value(); }
  EXPECT_EQ(content(), "old content that is longer\n");
  Output output = Output::open(path_, "-").value();
  EXPECT_TRUE(output.write("new\n", 1).has_value());
  EXPECT_TRUE(output.close().has_value());
  EXPECT_EQ(content(), "new\n");
  Output empty = Output::open(path_, "-").value();
  EXPECT_TRUE(empty.close().has_value());
  EXPECT_EQ(content(), "");
}

TEST_F(OutputTest, RefusesToWriteOverItsInput) {
  std::ofstream(path_) << "texts\n";
  const std::string other_name = (dir_ / "link.jsonl").string();
  std::filesystem::create_symlink(path_, other_name);
  for (const std::string& name : {path_, other_name}) {
    const auto output = Output::open(name, path_);
    ASSERT_FALSE(output.has_value());
    EXPECT_EQ(output.error().code, "output/same-file");
  }
  EXPECT_EQ(content(), "texts\n");
}

TEST_F(OutputTest, RefusesWhatCannotBeWritten) {
  for (const std::string& path : {(dir_ / "no/such/folder").string(), dir_.path().string()}) {
    const auto output = Output::open(path, "-");
    ASSERT_FALSE(output.has_value());
    EXPECT_EQ(output.error().code, "file/unwritable");
    EXPECT_NE(output.error().message.find(path), std::string::npos);
  }
}

TEST_F(OutputTest, AMissingFolderIsNotAFullDisk) {
  const std::string path = (dir_ / "no/such/file").string();
  for (const Error& error : {Output::open(path, "-").error(), check_output(path).error()}) {
    EXPECT_EQ(error.code, "file/unwritable");
    EXPECT_EQ(error.hint, "make its folder first or choose another place");
  }
  EXPECT_EQ(check_output(dir_.path().string()).error().hint, "it is a folder: name a file in it");
}

TEST(Tell, ShowsControlCharactersInsteadOfActingOnThem) {
  EXPECT_EQ(shown(std::string_view("a\0b\x1b[2J\x7f\r", 9)), "a\\x00b\\x1b[2J\\x7f\\x0d");
  EXPECT_EQ(shown("two\nlines,\tgrüne Äpfel"), "two\nlines,\tgrüne Äpfel");
}

TEST_F(OutputTest, AFullDiskIsAnErrorWithItsReason) {
  Output output = Output::open("/dev/full", "-").value();
  const auto written = output.write("a\n", 1);
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code, "file/unwritable");
  EXPECT_NE(written.error().message.find("No space left"), std::string::npos);
  EXPECT_EQ(output.records(), 0U);
}

TEST_F(OutputTest, AClosedPipeIsToldApart) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const std::string fifo = (dir_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  Output output = Output::open(fifo, "-").value();
  EXPECT_TRUE(output.write("a\n", 1).has_value());
  ::close(reader);
  const auto written = output.write("b\n", 1);
  ASSERT_FALSE(written.has_value());
  EXPECT_TRUE(is_closed_pipe(written.error()));
  EXPECT_EQ(output.records(), 1U);
  std::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace breakeven::cli
