#include "cli/text_options.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/cpus.h"
#include "base/files.h"
#include "testing/paths.h"

namespace breakeven::cli {
namespace {

std::string code_of(const TextFlags& flags) {
  const auto options = check_text_flags(flags);
  return options ? "" : options.error().code;
}

TEST(TextOptions, DefaultsAreUnderstood) {
  TextFlags flags;
  flags.device = "cpu";
  const TextOptions options = check_text_flags(flags).value();
  EXPECT_EQ(options.batch, 32U);
  EXPECT_FALSE(options.asked_length.has_value());
  EXPECT_EQ(options.threads, usable_cpus().threads());
  EXPECT_EQ(options.precision, Precision::fp32);
  EXPECT_EQ(options.device, Device{});
}

TEST(TextOptions, ValuesAreTaken) {
  TextFlags flags;
  flags.device = "cpu";
  flags.batch = "7";
  flags.max_length = "0";
  flags.threads = "3";
  flags.precision = "int8";
  const TextOptions options = check_text_flags(flags).value();
  EXPECT_EQ(options.batch, 7U);
  EXPECT_EQ(options.asked_length, 0U);
  EXPECT_EQ(options.threads, 3U);
  EXPECT_EQ(options.precision, Precision::int8);
}

TEST(TextOptions, TheModelsLimitComesBeforeWhatIsAskedFor) {
  EXPECT_EQ(cut_length({}, 64), 64U);
  EXPECT_EQ(cut_length({}, 4096), 512U);
  EXPECT_EQ(cut_length(1000, 4096), 1000U);
  EXPECT_EQ(cut_length(8, 64), 8U);
  EXPECT_EQ(cut_length(65, 64), 64U);
}

TEST(TextOptions, WrongNumbersAreRefusedWithFlagAndValue) {
  for (const char* value : {"0", "-1", "", "abc", "1.5", "4097", "99999999999999999999", "1 "}) {
    TextFlags flags;
    flags.batch = value;
    const auto options = check_text_flags(flags);
    ASSERT_FALSE(options.has_value()) << value;
    EXPECT_EQ(options.error().code, "flag/number");
    EXPECT_NE(options.error().message.find("--batch '" + std::string(value) + "'"),
              std::string::npos)
        << options.error().message;
  }
  EXPECT_EQ(code_of({.threads = "0"}), "flag/number");
  EXPECT_EQ(code_of({.threads = "some"}), "flag/number");
  EXPECT_EQ(code_of({.max_length = "x"}), "flag/number");
}

TEST(TextOptions, UnknownPrecisionAndDeviceAreRefused) {
  EXPECT_EQ(code_of({.precision = "fp4"}), "precision/unknown");
  EXPECT_EQ(code_of({.device = "tpu"}), "device/unknown");
}

TEST(TextOptions, UnknownFormatAndMissingInputAreRefused) {
  const auto format = open_texts({.reading = {.input_format = "xml"}});
  ASSERT_FALSE(format.has_value());
  EXPECT_EQ(format.error().code, "data/format");
  const auto missing = open_texts({.input = "/nowhere/reviews.jsonl"});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "file/missing");
}

TEST(TextOptions, AFileCalledImdbIsThatFile) {
  const testing::TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  std::ofstream("imdb") << "a text\n";
  const auto source = open_texts({.input = "imdb"});
  std::filesystem::current_path(before);
  ASSERT_TRUE(source.has_value()) << source.error().to_string();
  EXPECT_EQ((*source)->next().value()->text, "a text");
}

TEST(TextOptions, LabelsOfTheInputArePassedOn) {
  const testing::TempDir dir;
  const std::string path = (dir / "t.jsonl").string();
  std::ofstream(path) << R"({"text":"x","label":"no label of any model"})"
                      << "\n";
  const auto source = open_texts({.input = path}).value();
  const auto review = source->next();
  ASSERT_TRUE(review.has_value()) << review.error().to_string();
  EXPECT_EQ((*review)->extra, R"({"label":"no label of any model"})");
}

TEST(TextOptions, ErrorsTellHowMuchWasWritten) {
  const testing::TempDir dir;
  Output output = Output::open((dir / "o").string(), "-").value();
  const auto texts = open_texts({.input = "builtin"}).value();
  const auto at_start = finish_stream(fail("some/error", "broken"), *texts, output);
  EXPECT_EQ(at_start.error().message, "broken");
  ASSERT_TRUE(output.write("a\nb\n", 2).has_value());
  const auto later = finish_stream(fail("some/error", "broken"), *texts, output);
  EXPECT_EQ(later.error().code, "some/error");
  EXPECT_NE(later.error().message.find("(2 written to "), std::string::npos);
  EXPECT_TRUE(
      finish_stream(fail("output/closed", "stdout was closed"), *texts, output).has_value());
  EXPECT_TRUE(finish_stream({}, *texts, output).has_value());
}

}  // namespace
}  // namespace breakeven::cli
