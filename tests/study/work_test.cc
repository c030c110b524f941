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

TEST(Guess, FasterPrecisionsAndMoreThreadsTakeLessTime) {
  const std::string text(1000, 'a');
  const std::vector<Text> texts(8, text);
  const Work work{85e6, 15360};
  record::Cell cell;
  const double one = guess_pass_s(cell, "avx512_core_amx", work, texts);
  cell.threads = 2;
  EXPECT_LT(guess_pass_s(cell, "avx512_core_amx", work, texts), one);
  cell.precision = Precision::bf16;
  EXPECT_LT(guess_pass_s(cell, "avx512_core_amx", work, texts), one / 2);
}

}  // namespace
}  // namespace breakeven::study
