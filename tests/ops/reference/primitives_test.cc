#include "ops/reference/primitives.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

namespace breakeven::ops::reference {
namespace {

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Sizes {
  std::size_t rows, out, in;
};

class Multiply : public ::testing::TestWithParam<Sizes> {};

// The tiles, panels and instruction sets change nothing: bit for bit the plain triple loop.
TEST_P(Multiply, IsThePlainTripleLoop) {
  const auto [rows, out, in] = GetParam();
  const std::vector<float> x = random_values(rows * in, 1);
  const std::vector<float> weight = random_values(out * in, 2);
  const std::vector<float> bias = random_values(out, 3);
  std::vector<float> storage(round_up_to_panel(out) * in);
  const Panels panels = pack_panels(weight.data(), out, in, in, 1, storage);
  const std::size_t stride = out + 3;
  std::vector<float> result(rows * stride, -7.0F);
  std::vector<double> scratch(rows * in);
  multiply(x.data(), rows, in, panels, bias, result.data(), stride, scratch);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t o = 0; o < out; ++o) {
      double sum = 0;
      for (std::size_t i = 0; i < in; ++i) {
        sum += static_cast<double>(x[r * in + i]) * static_cast<double>(weight[o * in + i]);
      }
      EXPECT_EQ(result[r * stride + o], static_cast<float>(sum + static_cast<double>(bias[o])));
    }
    for (std::size_t gap = out; gap < stride; ++gap) {
      EXPECT_EQ(result[r * stride + gap], -7.0F) << "wrote past the outputs of row " << r;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Multiply,
                         ::testing::Values(Sizes{1, 1, 1}, Sizes{6, 8, 16}, Sizes{7, 9, 5},
                                           Sizes{13, 24, 33}, Sizes{5, 7, 64}, Sizes{12, 17, 2}));

TEST(PackPanels, StridesGiveTheTranspose) {
  const std::vector<float> matrix{1, 2, 3, 4, 5, 6};  // [3, 2]
  std::vector<float> storage(round_up_to_panel(2) * 3);
  const Panels transposed = pack_panels(matrix.data(), 2, 3, 1, 2, storage);
  const std::vector<float> x{1, 10, 100};
  std::vector<float> result(2);
  std::vector<double> scratch(3);
  multiply(x.data(), 1, 3, transposed, {}, result.data(), 2, scratch);
  EXPECT_THAT(result, ::testing::ElementsAre(531, 642));
}

TEST(Softmax, SumsToOneAndSurvivesLargeScores) {
  std::vector<float> row{1000.0F, 999.0F, -1000.0F, 998.0F};
  softmax(row, 1.0);
  const double e1 = std::exp(-1.0);
  const double e2 = std::exp(-2.0);
  const double sum = 1 + e1 + e2;
  EXPECT_FLOAT_EQ(row[0], static_cast<float>(1 / sum));
  EXPECT_FLOAT_EQ(row[1], static_cast<float>(e1 / sum));
  EXPECT_EQ(row[2], 0.0F);
  EXPECT_FLOAT_EQ(row[3], static_cast<float>(e2 / sum));

  std::vector<float> many = random_values(200, 4);
  const std::vector<float> before = many;
  softmax(many, 0.5);
  double total = 0;
  for (std::size_t i = 0; i < many.size(); ++i) {
    total += static_cast<double>(many[i]);
    const double ratio = std::exp(0.5 * (before[i] - before[0]));
    EXPECT_NEAR(many[i] / many[0], ratio, 1e-5 * ratio);
  }
  EXPECT_NEAR(total, 1.0, 1e-6);
}

TEST(Softmax, OfOneIsOne) {
  std::vector<float> row{-123.0F};
  softmax(row, 0.1);
  EXPECT_EQ(row[0], 1.0F);
}

TEST(LayerNorm, HasTheAskedMeanAndBiasedVariance) {
  const std::vector<float> in{1, 2, 3, 6};  // mean 3, biased variance 3.5
  const std::vector<float> gamma{1, 1, 2, 1};
  const std::vector<float> beta{0, 0.5F, 0, 0};
  std::vector<float> out(4);
  layer_norm(in, {gamma, beta, 0.5F}, out);  // sqrt(3.5 + 0.5) = 2
  EXPECT_THAT(out, ::testing::ElementsAre(-1.0F, 0.0F, 0.0F, 1.5F));
}

TEST(LayerNorm, OfAConstantRowIsBeta) {
  const std::vector<float> gamma(8, 3.0F);
  const std::vector<float> beta(8, 0.25F);
  std::vector<float> row(8, 40.0F);
  layer_norm(row, {gamma, beta, 1e-12F}, row);
  EXPECT_THAT(row, ::testing::Each(0.25F));
}

TEST(LayerNorm, KeepsDigitsOfASmallSpreadOnALargeMean) {
  std::vector<float> row{4096.0F, 4096.5F, 4097.0F, 4096.5F};
  const std::vector<float> gamma(4, 1.0F);
  const std::vector<float> beta(4, 0.0F);
  layer_norm(row, {gamma, beta, 0.0F}, row);
  EXPECT_FLOAT_EQ(row[2], std::sqrt(2.0F));
  EXPECT_EQ(row[1], 0.0F);
}

// Values from the definitions, computed outside this program to ten digits.
TEST(Activate, KnownValues) {
  struct Case {
    Activation activation;
    std::vector<float> expected;  // of -3, -1, 0, 0.5, 2
  };
  const Case cases[] = {
      {Activation::gelu_erf, {-0.0040496941F, -0.1586552539F, 0, 0.3457312306F, 1.9544997361F}},
      {Activation::gelu_tanh, {-0.0036373921F, -0.1588080094F, 0, 0.3457140285F, 1.9545976941F}},
      {Activation::relu, {0, 0, 0, 0.5F, 2}},
      {Activation::tanh, {-0.9950547537F, -0.7615941560F, 0, 0.4621171573F, 0.9640275801F}},
  };
  for (const Case& one : cases) {
    std::vector<float> values{-3, -1, 0, 0.5F, 2};
    activate(one.activation, values);
    EXPECT_THAT(values, ::testing::Pointwise(::testing::FloatNear(1e-7F), one.expected))
        << static_cast<int>(one.activation);
  }
}

TEST(Activate, HandsNanOn) {
  for (const Activation activation :
       {Activation::gelu_erf, Activation::gelu_tanh, Activation::relu, Activation::tanh}) {
    std::vector<float> values{std::nanf("")};
    activate(activation, values);
    EXPECT_TRUE(std::isnan(values[0])) << static_cast<int>(activation);
  }
}

}  // namespace
}  // namespace breakeven::ops::reference
