#include "study/work.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace breakeven::study {
namespace {

TEST(Guess, PaddingIsReallyCounted) {
  const std::string short_text(100, 'a');
  const std::string long_text(5000, 'a');
  const std::vector<Text> texts = {short_text, short_text, long_text, long_text};
  const auto packed = guess_tokens(texts, 4, 512, Padding::none);
  EXPECT_EQ(packed.computed, packed.real);
  EXPECT_EQ(guess_tokens(texts, 4, 512, Padding::longest).computed, 4 * 512);
  EXPECT_EQ(guess_tokens(texts, 4, 512, Padding::max_length).computed, 4 * 512);
  // In batches of two the short ones share a batch.
  EXPECT_EQ(guess_tokens(texts, 2, 512, Padding::longest).computed, packed.real);
  EXPECT_LT(packed.real, 4 * 512);
}

TEST(Guess, AnEncodersForm) {
  const Work bert = work_of({.layers = 12, .hidden = 768, .intermediate = 3072});
  EXPECT_EQ(bert.flops_per_token, 11.0 * 2 * 12 * 768 * 768 + 4.0 * 768 * 768);
  EXPECT_EQ(bert.flops_per_token_pair, 11.0 * 4 * 768);
  EXPECT_EQ(bert.flops_per_near_pair, 0);
  // ModernBERT-base, whose head reads all rows: 8 global layers, 14 of window 64.
  const Work modern = work_of({.layers = 22,
                               .hidden = 768,
                               .intermediate = 1152,
                               .gated = true,
                               .all_rows = true,
                               .windowed = 14,
                               .window = 64});
  EXPECT_EQ(modern.flops_per_token, 22.0 * 2 * (4 * 768 * 768 + 3 * 768 * 1152));
  EXPECT_EQ(modern.flops_per_token_pair, 8.0 * 4 * 768);
  EXPECT_EQ(modern.flops_per_near_pair, 14.0 * 4 * 768);
  const std::string text(44'000, 'a');
  const std::vector<Text> texts = {text};
  const PassTokens tokens = guess_tokens(texts, 1, 8192, Padding::none, 64);
  EXPECT_EQ(tokens.near, 8192.0 * 129);
  EXPECT_EQ(guess_tokens(texts, 1, 100, Padding::none, 64).near, 100.0 * 100);
}

TEST(Guess, FasterPrecisionsAndMoreThreadsTakeLessTime) {
  const std::string text(1000, 'a');
  const std::vector<Text> texts(8, text);
  const Work work{.flops_per_token = 85e6, .flops_per_token_pair = 15360};
  record::Cell cell;
  const double one = guess_pass_s(cell, "avx512_core_amx", work, texts);
  cell.threads = 2;
  EXPECT_LT(guess_pass_s(cell, "avx512_core_amx", work, texts), one);
  cell.precision = Precision::bf16;
  EXPECT_LT(guess_pass_s(cell, "avx512_core_amx", work, texts), one / 2);
}

}  // namespace
}  // namespace breakeven::study
