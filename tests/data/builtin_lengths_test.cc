// The lengths of the built-in texts against IMDB's, counted by the real tokenizer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/limits.h"
#include "data/builtin_source.h"
#include "data/source.h"
#include "testing/paths.h"
#include "text/tokenizer.h"

namespace breakeven::data {
namespace {

class BuiltinLengths : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  void SetUp() override {
    auto tokenizer = text::Tokenizer::load(testing::source_dir() / "models" / "builtin");
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().to_string();
    const auto scratch = tokenizer->make_scratch();
    std::vector<std::int32_t> ids;
    SourceOptions options;
    options.seed = GetParam();
    const ReviewSet set = read_reviews(options, 2000).value();
    ASSERT_EQ(set.reviews.size(), 2000U);
    for (const Review& review : set.reviews) {
      ids.clear();
      tokenizer->encode(review.text, {.truncate = false}, *scratch, ids);
      tokens_.push_back(static_cast<double>(ids.size()));
      estimates_.push_back(static_cast<double>(estimate_tokens(review.text)) + 2);
    }
  }
  static double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
  double share_over(double limit) const {
    double count = 0;
    for (const double tokens : tokens_) count += tokens > limit ? 1 : 0;
    return count / static_cast<double>(tokens_.size());
  }
  std::vector<double> tokens_;
  std::vector<double> estimates_;
};

TEST_P(BuiltinLengths, FollowImdb) {
  const double slack = limit("builtin/share_slack");
  EXPECT_NEAR(mean(tokens_), 310, limit("builtin/mean_tokens_slack"));
  EXPECT_NEAR(share_over(512), 0.144, slack);
  EXPECT_NEAR(share_over(256), 0.438, slack);
  EXPECT_NEAR(share_over(128), 0.89, slack);
  fmt::print("mean {:.1f}, over 512 {:.3f}, over 256 {:.3f}, over 128 {:.3f}\n", mean(tokens_),
             share_over(512), share_over(256), share_over(128));
}

TEST_P(BuiltinLengths, AreEstimatedWellWithoutATokenizer) {
  EXPECT_NEAR(mean(estimates_) / mean(tokens_), 1, limit("builtin/estimate_slack"));
}

INSTANTIATE_TEST_SUITE_P(Seeds, BuiltinLengths, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace breakeven::data
