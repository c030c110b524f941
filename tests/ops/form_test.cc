// An encoder of another form than a backend computes is refused when it is packed, by name.
#include <gmock/gmock.h>

#include <cmath>

#include "ops/cuda/model_shape.h"

namespace breakeven::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Error error_of_cuda(const EncoderWeights& weights) {
  const auto shape = cuda::shape_of(weights, Precision::fp16);
  return shape ? Error{} : shape.error();
}

TEST(Positions, CountFromZeroOrFromBehindAnUncountedId) {
  const std::vector<std::int32_t> ids{0, 5, 1, 6, 2, 1, 1, 7};
  const std::vector<std::int32_t> cu_seqlens{0, 5, 8};
  const std::vector<std::int32_t> valid{5, 3};
  const Batch batch{.ids = ids, .token_types = {}, .cu_seqlens = cu_seqlens, .valid_len = valid};
  std::vector<std::int32_t> positions(ids.size());
  write_positions(batch, -1, positions);
  EXPECT_THAT(positions, ElementsAre(0, 1, 2, 3, 4, 0, 1, 2));
  // The first five are what Transformers gives for [0, 5, 1, 6, 2].
  write_positions(batch, 1, positions);
  EXPECT_THAT(positions, ElementsAre(2, 3, 1, 4, 5, 1, 1, 2));
}

// What torch gives for 256 buckets and 512 positions.
TEST(RelativeDistances, GrowLogarithmicallyBeyondHalfTheBuckets) {
  const RelativeDistances deberta{.span = 256, .near = 128, .farthest = 512};
  const std::pair<std::ptrdiff_t, std::size_t> cases[] = {
      {0, 0},     {1, 1},     {127, 127}, {128, 128}, {129, 129}, {131, 131},
      {132, 131}, {133, 132}, {500, 254}, {505, 254}, {506, 255}, {511, 255}};
  for (const auto& [distance, step] : cases) {
    EXPECT_EQ(deberta.row(distance), 256 + step) << distance;
    EXPECT_EQ(deberta.row(-distance), 256 - step) << distance;
  }
  EXPECT_EQ(deberta.row(2047), 511U);
  EXPECT_EQ(deberta.row(-2047), 0U);
  EXPECT_THAT((RelativeDistances{.span = 2, .near = 2, .farthest = 2}.rows(4)),
              ElementsAre(3, 3, 3, 2, 1, 0, 0));
}

TEST(FfnCut, IsAsWideAsTheHiddenLayerOrEvenWithinAWarpsRow) {
  const auto cut = [](std::size_t hidden, std::size_t intermediate) {
    const FfnCut made = cut_ffn(hidden, intermediate);
    return std::pair(made.block, made.blocks);
  };
  EXPECT_EQ(cut(768, 3072), std::pair(768UL, 4UL));   // BERT-base
  EXPECT_EQ(cut(384, 1536), std::pair(384UL, 4UL));   // MiniLM
  EXPECT_EQ(cut(768, 1152), std::pair(576UL, 2UL));   // ModernBERT-base
  EXPECT_EQ(cut(1024, 2624), std::pair(896UL, 3UL));  // ModernBERT-large: 64 zeros behind it
  EXPECT_EQ(cut(312, 1200), std::pair(640UL, 2UL));   // TinyBERT
  EXPECT_EQ(cut(1536, 6144), std::pair(1024UL, 6UL));
  EXPECT_EQ(cut(32, 37), std::pair(64UL, 1UL));
}

// What torch gives in fp32 for a base of 10,000 and heads of 8: 1 and 0.1 at positions 3 and 8191.
TEST(RotaryTable, HasAnglesOfFp32) {
  const std::vector<float> table = rotary_table(10'000, 8, 8192);
  ASSERT_EQ(table.size(), 8U * 8192);
  EXPECT_EQ(table[0], 1.0F);
  EXPECT_EQ(table[4], 0.0F);
  EXPECT_FLOAT_EQ(table[3 * 8], std::cos(3.0F));
  EXPECT_FLOAT_EQ(table[3 * 8 + 5], std::sin(3.0F * 0.1F));
  EXPECT_FLOAT_EQ(table[8191 * 8 + 1], std::cos(8191.0F * 0.1F));
  EXPECT_FLOAT_EQ(table[8191 * 8 + 4 + 3], std::sin(8191.0F * 0.001F));
}

TEST(EncoderForm, CudaRefusesProjectedEmbeddingsThatItDoesNotCompute) {
  EncoderWeights weights;
  weights.heads = 1;
  weights.layers.resize(1);
  weights.hidden = 64;
  weights.embedding.project.out = 64;
  weights.embedding.project.in = 32;
  EXPECT_TRUE(cuda::shape_of(weights, Precision::fp16));
  const auto refused = cuda::shape_of(weights, Precision::bf16);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "ops/unsupported");
  EXPECT_THAT(refused.error().message, HasSubstr("embeddings of 32 values"));
  weights.embedding.project.in = 65;
  EXPECT_FALSE(cuda::shape_of(weights, Precision::fp16));
}

// fp16, and what has fp16 around its products, cannot hold its activations.
TEST(EncoderForm, CudaRefusesMDebertaWhereFp16IsPartOfIt) {
  EncoderWeights weights;
  weights.heads = 1;
  weights.hidden = 64;
  weights.intermediate = 64;
  weights.layers.resize(1);
  weights.form.position = EncoderForm::Position::relative;
  weights.relative.distances = {.span = 4, .near = 2, .farthest = 8};
  weights.vocabulary = 251'000;
  for (const Precision precision :
       {Precision::fp16, Precision::int8, Precision::fp8, Precision::fp32x3}) {
    const auto refused = cuda::shape_of(weights, precision);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "ops/unsupported");
    EXPECT_THAT(refused.error().message, HasSubstr("251000 words (mDeBERTa)"));
    EXPECT_THAT(refused.error().hint, HasSubstr("bf16 or fp32"));
  }
  EXPECT_TRUE(cuda::shape_of(weights, Precision::bf16));
  EXPECT_TRUE(cuda::shape_of(weights, Precision::fp32));
  weights.vocabulary = 128'100;
  EXPECT_TRUE(cuda::shape_of(weights, Precision::fp16));
}

TEST(EncoderForm, CudaRefusesByNameWhatItDoesNotCompute) {
  EncoderWeights weights;
  weights.heads = 1;
  weights.hidden = 64;
  weights.layers.resize(1);
  weights.form.position = EncoderForm::Position::relative;
  weights.form.attention = EncoderForm::Attention::windowed;
  const Error error = error_of_cuda(weights);
  EXPECT_EQ(error.code, "ops/unsupported");
  EXPECT_THAT(error.message, HasSubstr("relative positions in a window"));
  EXPECT_THAT(error.hint, HasSubstr("--device cpu"));
  EXPECT_THAT(error.hint, HasSubstr("--runtime pytorch"));
  weights.form = {.norm = EncoderForm::Norm::pre};
  EXPECT_EQ(error_of_cuda(weights).code, "");
  const std::vector<float> gamma(64, 1);
  weights.layers[0].attention_norm.gamma = gamma;
  EXPECT_THAT(error_of_cuda(weights).message, HasSubstr("a norm of the embeddings' norm"));
  weights.layers[0].attention_norm.gamma = {};
  weights.embedding.project.out = 64;
  weights.embedding.project.in = 32;
  EXPECT_THAT(error_of_cuda(weights).message, HasSubstr("embeddings of 32 values"));
}

}  // namespace
}  // namespace breakeven::ops
