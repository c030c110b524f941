#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "base/limits.h"
#include "data/builtin_source.h"
#include "helpers.h"

namespace breakeven::data {
namespace {

ReviewSet builtin(std::size_t count, std::uint64_t seed = 1,
                  std::vector<std::string> labels = {"NEGATIVE", "POSITIVE"}) {
  return read_reviews({.labels = std::move(labels), .seed = seed}, count).value();
}

TEST(Builtin, HasEnoughOriginalsOfBothLabelsAndOfEveryLength) {
  const auto& reviews = builtin_reviews();
  std::set<std::string> texts;
  std::size_t positive = 0;
  std::size_t short_ones = 0;
  std::size_t long_ones = 0;
  for (const BuiltinReview& review : reviews) {
    EXPECT_GE(review.tokens, 5U) << review.text;
    texts.insert(review.text);
    positive += review.positive ? 1 : 0;
    short_ones += review.tokens < 30 ? 1 : 0;
    long_ones += review.tokens > 400 ? 1 : 0;
  }
  EXPECT_GE(reviews.size(), 60U);
  EXPECT_EQ(texts.size(), reviews.size());
  EXPECT_EQ(positive * 2, reviews.size());
  EXPECT_GE(short_ones, 12U);
  EXPECT_GE(long_ones, 4U);
}

TEST(Builtin, EveryTextIsMadeOfWholeOriginalsOfItsLabel) {
  std::map<std::uint64_t, const BuiltinReview*> by_fingerprint;
  for (const BuiltinReview& review : builtin_reviews())
    by_fingerprint[fingerprint(review.text)] = &review;
  for (const Review& review : builtin(500).reviews) {
    ASSERT_FALSE(review.originals.empty());
    std::string_view rest = review.text;
    for (const std::uint64_t original : review.originals) {
      ASSERT_TRUE(by_fingerprint.contains(original));
      const BuiltinReview& part = *by_fingerprint[original];
      EXPECT_EQ(part.positive, review.label == 1);
      ASSERT_TRUE(rest.starts_with(part.text)) << rest;
      rest.remove_prefix(part.text.size());
      if (rest.starts_with("<br /><br />")) rest.remove_prefix(12);
      if (rest.starts_with(' ')) rest.remove_prefix(1);
    }
    EXPECT_TRUE(rest.empty()) << rest;
    const std::set<std::uint64_t> different(review.originals.begin(), review.originals.end());
    EXPECT_EQ(different.size(), review.originals.size());
  }
}

TEST(Builtin, TheSeedDecidesAndAShorterSetIsAPrefixOfALongerOne) {
  const ReviewSet hundred = builtin(100);
  EXPECT_EQ(texts_of(hundred.reviews), texts_of(builtin(100).reviews));
  EXPECT_NE(texts_of(hundred.reviews), texts_of(builtin(100, 2).reviews));
  const ReviewSet ten = builtin(10);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(ten.reviews[i].text, hundred.reviews[i].text);
  EXPECT_EQ(hundred.name, "builtin");
  EXPECT_THAT(hundred.note, ::testing::HasSubstr("built-in reviews"));
}

TEST(Builtin, LabelsAreBalancedInEveryPrefix) {
  const ReviewSet set = builtin(1000);
  int balance = 0;
  for (const Review& review : set.reviews) {
    balance += review.label == 1 ? 1 : -1;
    EXPECT_LE(std::abs(balance), 1);
  }
}

TEST(Builtin, AccuracyCountsOriginalsNotTexts) {
  const auto distinct = [](const ReviewSet& set) {
    std::set<std::uint64_t> originals;
    for (const Review& review : set.reviews)
      originals.insert(review.originals.begin(), review.originals.end());
    return originals.size();
  };
  EXPECT_EQ(distinct(builtin(2000)), builtin_reviews().size());
  EXPECT_LE(distinct(builtin(10)), 60U);
}

TEST(Builtin, TextsRarelyRepeat) {
  std::set<std::string> texts;
  const ReviewSet set = builtin(2000);
  for (const Review& review : set.reviews) texts.insert(review.text);
  EXPECT_GE(static_cast<double>(texts.size()) / 2000, limit("builtin/distinct_share_min"));
}

TEST(Builtin, AModelWithOtherLabelsGetsNone) {
  const ReviewSet set = builtin(4, 1, {"sport", "politics", "weather"});
  for (const Review& review : set.reviews) EXPECT_EQ(review.label, std::nullopt);
  EXPECT_THAT(set.note, ::testing::HasSubstr("no accuracy"));
}

TEST(Builtin, QuantilesOfImdbAreInterpolated) {
  EXPECT_DOUBLE_EQ(imdb_tokens(0), 10);
  EXPECT_DOUBLE_EQ(imdb_tokens(0.5), 232);
  EXPECT_DOUBLE_EQ(imdb_tokens(0.45), (201 + 232) / 2.0);
  EXPECT_DOUBLE_EQ(imdb_tokens(1), 3157);
  double before = 0;
  for (int i = 0; i <= 1000; ++i) {
    EXPECT_GT(imdb_tokens(i / 1000.0), before);
    before = imdb_tokens(i / 1000.0);
  }
}

TEST(Builtin, TokensAreEstimatedFromWordsAndMarks) {
  EXPECT_EQ(estimate_tokens(""), 0U);
  EXPECT_EQ(estimate_tokens("  \n"), 0U);
  EXPECT_EQ(estimate_tokens("Don't go."), 5U);         // don ' t go .
  EXPECT_EQ(estimate_tokens("<br /><br />"), 8U);      // < br / > twice
  EXPECT_EQ(estimate_tokens("caf\xC3\xA9 9/10"), 4U);  // cafe 9 / 10
}

}  // namespace
}  // namespace breakeven::data
