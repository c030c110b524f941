#include "cli/text_stream.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "testing/paths.h"

namespace breakeven::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

// Hands out "text 0", "text 1" ... and then an error, if it has one.
class NumberedTexts final : public data::Source {
 public:
  explicit NumberedTexts(std::size_t count, std::optional<Error> error = std::nullopt)
      : count_(count), error_(std::move(error)) {}
  Result<std::optional<data::Review>> next() override {
    if (next_ == count_) {
      if (error_) return tl::unexpected<Error>(*error_);
      return std::optional<data::Review>();
    }
    data::Review review;
    review.text = fmt::format("text {}", next_);
    review.extra = extra;
    ++next_;
    return std::optional(std::move(review));
  }
  std::string name() const override { return "numbers"; }
  std::string extra;

 private:
  std::size_t count_;
  std::size_t next_ = 0;
  std::optional<Error> error_;
};

// Label = parity of the text's last digit, tokens = its letters; keeps what it was asked.
class ParityClassifier final : public Classifier {
 public:
  ClassifierInfo info() const override {
    ClassifierInfo info;
    info.labels = {"even", "\"odd\""};
    info.max_length = 7;
    return info;
  }
  Result<void> run_batch(std::span<const Text>, BatchResult&) override { return {}; }
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override {
    if (calls.size() == fail_at) return fail("fake/broken", "the fake is broken");
    calls.push_back(texts.size());
    batches.push_back(batch);
    out = {};
    for (const Text& each : texts) {
      const std::string_view text = each.first;
      const bool odd = (text.back() - '0') % 2 == 1;
      out.logits.push_back(odd ? -0.1F : 2.5F);
      out.logits.push_back(not_a_number ? std::nanf("") : odd ? 2.5F : 1.0F / 3);
      out.labels.push_back(odd ? 1 : 0);
      out.scores.push_back(odd ? 0.75F : 0.9F);
      out.tokens.push_back(static_cast<std::uint32_t>(std::min<std::size_t>(7, text.size())));
      out.cut.push_back(text.size() > 7 ? 1 : 0);
    }
    return {};
  }
  std::vector<std::size_t> calls;
  std::vector<std::size_t> batches;
  std::size_t fail_at = 1000;
  bool not_a_number = false;
};

class LabelTexts : public ::testing::Test {
 protected:
  Result<void> label(data::Source& source, const WindowLimits& limits = {}) {
    Output output = Output::open(path_, "-").value();
    auto done = label_texts(source, classifier_, 4, form_, limits, output, counts_);
    lines_.clear();
    std::string content = read_file(path_).value();
    std::size_t at = 0;
    while (at < content.size()) {
      const std::size_t end = content.find('\n', at);
      lines_.push_back(content.substr(at, end - at));
      at = end + 1;
    }
    return done;
  }
  testing::TempDir dir_;
  std::string path_ = (dir_ / "labels.jsonl").string();
  ParityClassifier classifier_;
  LabelForm form_{ScoreFunction::none};
  LabelCounts counts_;
  std::vector<std::string> lines_;
};

TEST_F(LabelTexts, WritesOneLineATextInOrder) {
  NumberedTexts source(3);
  ASSERT_TRUE(label(source).has_value());
  EXPECT_THAT(
      lines_,
      ElementsAre(R"({"index":0,"label":"even","score":2.5,"logits":[2.5,0.333333343]})",
                  R"({"index":1,"label":"\"odd\"","score":2.5,"logits":[-0.100000001,2.5]})",
                  R"({"index":2,"label":"even","score":2.5,"logits":[2.5,0.333333343]})"));
  EXPECT_EQ(counts_.texts, 3U);
}

TEST_F(LabelTexts, ListsTheHighestScoresFirst) {
  NumberedTexts source(2);
  source.extra = R"({"scores":3})";
  form_ = {ScoreFunction::sigmoid, 100};
  ASSERT_TRUE(label(source).has_value());
  EXPECT_THAT(lines_[1],
              ::testing::StartsWith(
                  R"({"index":1,"label":"\"odd\"","score":0.924141824,"logits":[-0.100000001,2.5],)"
                  R"("scores":[{"label":"\"odd\"","score":0.924141824},{"label":"even","score":)"));
  EXPECT_EQ(json::parse(lines_[0])["input_scores"], 3);
  form_.top = 1;
  NumberedTexts again(1);
  ASSERT_TRUE(label(again).has_value());
  EXPECT_EQ(json::parse(lines_[0])["scores"].size(), 1U);
}

TEST_F(LabelTexts, WindowsStartSmallGrowAndKeepTheOrder) {
  NumberedTexts source(100);
  ASSERT_TRUE(label(source, {.first_texts = 8, .texts = 32, .bytes = 1 << 20}).has_value());
  EXPECT_THAT(classifier_.calls, ElementsAre(8, 16, 32, 32, 12));
  EXPECT_THAT(classifier_.batches, ::testing::Each(4));
  ASSERT_EQ(lines_.size(), 100U);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(json::parse(lines_[i])["index"], i);
}

TEST_F(LabelTexts, AWindowIsBoundedByItsBytesToo) {
  NumberedTexts source(10);  // 6 bytes each
  ASSERT_TRUE(label(source, {.first_texts = 100, .texts = 100, .bytes = 13}).has_value());
  EXPECT_THAT(classifier_.calls, ElementsAre(3, 3, 3, 1));
}

TEST_F(LabelTexts, CountsOnlyTextsThatWereReallyCut) {
  NumberedTexts source(
      120);  // "text 7" fits, "text 17" fills the 7 tokens exactly, "text 117" is cut
  ASSERT_TRUE(label(source).has_value());
  EXPECT_EQ(counts_.texts, 120U);
  EXPECT_EQ(counts_.cut, 20U);
}

TEST_F(LabelTexts, WhatCameBeforeABrokenLineIsWrittenFirst) {
  NumberedTexts source(5, Error{"data/json", "t.jsonl, line 6: broken", ""});
  const auto done = label(source);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, "data/json");
  EXPECT_EQ(lines_.size(), 5U);
  EXPECT_EQ(counts_.texts, 5U);
}

TEST_F(LabelTexts, AFailingClassifierEndsTheRun) {
  NumberedTexts source(20);
  classifier_.fail_at = 1;
  const auto done = label(source, {.first_texts = 8, .texts = 8, .bytes = 1 << 20});
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, "fake/broken");
  EXPECT_EQ(lines_.size(), 8U);
  EXPECT_EQ(counts_.texts, 8U);
}

TEST_F(LabelTexts, PassesOtherFieldsOnAndNeverMixesThemWithOurs) {
  NumberedTexts source(1);
  source.extra =
      R"({"id":1.10,"label":"gold","input_label":3,"l\u006fgits":[],"nested":{"score":1}})";
  ASSERT_TRUE(label(source).has_value());
  EXPECT_EQ(
      lines_[0].substr(lines_[0].find("\"id\"")),
      R"("id":1.10,"input_input_label":"gold","input_label":3,"input_logits":[],"nested":{"score":1}})");
  const json line = json::parse(lines_[0]);
  EXPECT_EQ(line["label"], "even");
  EXPECT_EQ(line["logits"].size(), 2U);
}

TEST_F(LabelTexts, WhatIsNoNumberIsNull) {
  NumberedTexts source(1);
  classifier_.not_a_number = true;
  ASSERT_TRUE(label(source).has_value());
  EXPECT_TRUE(json::parse(lines_[0])["logits"][1].is_null());
}

}  // namespace
}  // namespace breakeven::cli
