// Each vector kernel against plain double arithmetic, for AVX2 and AVX-512.
#include "ops/cpu/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/limits.h"
#include "ops/cpu/arena.h"
#include "sets.h"

namespace breakeven::ops::cpu {
namespace {

std::vector<float> normal(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

class VectorKernels : public ::testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    const std::string reason = breakeven::testing::missing(GetParam());
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  const Kernels& kernels() const { return kernels_for(has_avx512(GetParam())); }

  std::vector<float> apply(Activation activation, const std::vector<float>& x) const {
    const std::vector<float> bias(x.size(), 0.0F);
    std::vector<float> out = x;
    kernels().activate(activation, bias.data(), 1, x.size(), out.data(), x.size());
    return out;
  }
  double worst(Activation activation, double (*exact)(double)) const {
    std::vector<float> x(1 << 20);
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] =
          static_cast<float>(-12.0 + 24.0 * static_cast<double>(i) / static_cast<double>(x.size()));
    }
    x[0] = -3.0e30F;
    x[1] = 3.0e30F;
    x[2] = 0.0F;
    const std::vector<float> y = apply(activation, x);
    double most = 0;
    for (std::size_t i = 2; i < x.size(); ++i) most = std::max(most, std::fabs(y[i] - exact(x[i])));
    EXPECT_EQ(y[1], activation == Activation::tanh ? 1.0F : 3.0e30F);
    EXPECT_EQ(std::fabs(y[0]), activation == Activation::tanh ? 1.0F : std::fabs(y[0]));
    EXPECT_TRUE(std::isfinite(y[0]));
    return most;
  }
};

TEST_P(VectorKernels, Activations) {
  EXPECT_LE(worst(Activation::gelu_erf,
                  [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }),
            limit("ops/cpu/activation_abs_max"));
  EXPECT_LE(worst(Activation::gelu_tanh,
                  [](double x) {
                    return 0.5 * x *
                           (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
                  }),
            limit("ops/cpu/activation_abs_max"));
  EXPECT_LE(worst(Activation::tanh, [](double x) { return std::tanh(x); }),
            limit("ops/cpu/activation_abs_max"));
  EXPECT_EQ(worst(Activation::relu, [](double x) { return std::max(x, 0.0); }), 0.0);
}

TEST_P(VectorKernels, IntegerProductsAreExact) {
  std::mt19937 random(3);
  std::uniform_int_distribution<int> value(-9, 9);
  for (const std::size_t rows : {1U, 2U, 5U, 6U, 7U, 12U, 13U}) {
    for (const std::size_t columns : {16U, 32U, 48U, 64U, 80U, 144U}) {
      for (const std::size_t depth : {1U, 7U, 64U}) {
        std::vector<float> a(rows * depth);
        std::vector<float> b(depth * columns);
        std::vector<float> c(rows * columns, NAN);
        for (float& v : a) v = static_cast<float>(value(random));
        for (float& v : b) v = static_cast<float>(value(random));
        kernels().multiply(a.data(), depth, b.data(), columns, c.data(), columns, rows, columns,
                           depth);
        for (std::size_t i = 0; i < rows * columns; ++i) {
          float sum = 0;
          for (std::size_t k = 0; k < depth; ++k) {
            sum += a[i / columns * depth + k] * b[k * columns + i % columns];
          }
          ASSERT_EQ(c[i], sum) << rows << " " << columns << " " << depth << " at " << i;
        }
      }
    }
  }
}

TEST_P(VectorKernels, SoftmaxOfAnyLength) {
  for (const std::size_t count : {1U, 2U, 15U, 16U, 17U, 31U, 100U, 512U}) {
    std::vector<float> scores = normal(padded(count), 4);
    for (float& s : scores) s *= 30.0F;
    const std::vector<float> before = scores;
    kernels().softmax(scores.data(), count, 0.25F);
    double most = -1e30;
    double total = 0;
    for (std::size_t i = 0; i < count; ++i) most = std::max(most, 0.25 * before[i]);
    for (std::size_t i = 0; i < count; ++i) total += std::exp(0.25 * before[i] - most);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_NEAR(scores[i], std::exp(0.25 * before[i] - most) / total,
                  limit("ops/cpu/activation_abs_max"));
    }
    for (std::size_t i = count; i < scores.size(); ++i) EXPECT_EQ(scores[i], 0.0F);
  }
}

// Quantised rows come back within half a step, whatever their range.
TEST_P(VectorKernels, QuantisedRowsComeBack) {
  constexpr std::size_t kColumns = 48;
  std::vector<std::vector<float>> rows{std::vector<float>(kColumns, 0.0F),
                                       std::vector<float>(kColumns, 7.5F),
                                       std::vector<float>(kColumns, -7.5F),
                                       normal(kColumns, 5),
                                       normal(kColumns, 6),
                                       normal(kColumns, 7)};
  for (float& v : rows[4]) v = std::fabs(v) + 100.0F;
  rows[5][3] = 500.0F;
  for (const auto& row : rows) {
    std::vector<std::uint8_t> data(kColumns);
    float scale = 0;
    std::int32_t zero = -1;
    kernels().quantise_f32(row.data(), kColumns, 1, kColumns,
                           {NumberFormat::u8, data.data(), kColumns, &scale, &zero});
    ASSERT_GT(scale, 0.0F);
    for (std::size_t i = 0; i < kColumns; ++i) {
      EXPECT_NEAR(static_cast<float>(data[i] - zero) * scale, row[i], 1.01F * scale);
    }
    std::vector<Bf16> halves(kColumns);
    std::transform(row.begin(), row.end(), halves.begin(), to_bf16);
    kernels().quantise_bf16(halves.data(), kColumns, 1, kColumns,
                            {NumberFormat::u8, data.data(), kColumns, &scale, &zero});
    for (std::size_t i = 0; i < kColumns; ++i) {
      EXPECT_NEAR(static_cast<float>(data[i] - zero) * scale, from_bf16(halves[i]), 1.01F * scale);
    }
  }
}

// The range of bf16 is found among words, not values: it must be that of the values.
TEST_P(VectorKernels, RowsOfBf16AreQuantisedAsTheirValuesAre) {
  constexpr std::size_t kColumns = 48;
  std::vector<std::vector<float>> rows{std::vector<float>(kColumns, -0.0F), normal(kColumns, 8),
                                       std::vector<float>(kColumns, -2.5F),
                                       std::vector<float>(kColumns, 2.5F)};
  for (std::size_t i = 0; i < kColumns; ++i) {
    for (const float extreme : {-70.0F, 70.0F, -1e-39F, 3e38F, -3e38F}) {
      rows.push_back(normal(kColumns, 9));
      rows.back()[i] = extreme;
    }
  }
  for (const auto& row : rows) {
    std::vector<Bf16> halves(kColumns);
    std::transform(row.begin(), row.end(), halves.begin(), to_bf16);
    std::vector<float> values(kColumns);
    std::transform(halves.begin(), halves.end(), values.begin(), from_bf16);
    std::vector<std::uint8_t> from_half(kColumns), from_float(kColumns);
    float scale[2];
    std::int32_t zero[2];
    kernels().quantise_bf16(halves.data(), kColumns, 1, kColumns,
                            {NumberFormat::u8, from_half.data(), kColumns, scale, zero});
    kernels().quantise_f32(values.data(), kColumns, 1, kColumns,
                           {NumberFormat::u8, from_float.data(), kColumns, scale + 1, zero + 1});
    EXPECT_EQ(scale[0], scale[1]);
    EXPECT_EQ(zero[0], zero[1]);
    EXPECT_EQ(from_half, from_float);
  }
}

// Rows with something between them, each column with a bias of its own.
TEST_P(VectorKernels, TheBiasIsAddedFirst) {
  constexpr std::size_t kColumns = 32;
  constexpr std::size_t kStride = 48;
  std::vector<float> x = normal(3 * kStride, 12);
  const std::vector<float> before = x;
  const std::vector<float> bias = normal(kColumns, 13);
  kernels().activate(Activation::relu, bias.data(), 3, kColumns, x.data(), kStride);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % kStride;
    EXPECT_EQ(x[i], c < kColumns ? std::max(before[i] + bias[c], 0.0F) : before[i]) << i;
  }
}

TEST_P(VectorKernels, NormOfAnyWidth) {
  for (const std::size_t width : {1U, 8U, 15U, 16U, 17U, 40U, 384U}) {
    const std::size_t columns = padded(width);
    const auto cut = [&](std::vector<float> values) {  // zeros behind the width
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (i % columns >= width) values[i] = 0.0F;
      }
      return values;
    };
    auto x = cut(normal(2 * columns, 9));
    const auto gamma = cut(normal(columns, 11));
    const auto beta = cut(normal(columns, 12));
    const auto before = x;
    std::vector<Bf16> half(2 * columns);
    kernels().norm({gamma.data(), beta.data(), 1e-5F, width}, 2, x.data(), columns,
                   {NumberFormat::bf16, half.data(), columns, nullptr, nullptr});
    for (std::size_t r = 0; r < 2; ++r) {
      std::vector<double> row(width);
      double mean = 0;
      double variance = 0;
      for (std::size_t c = 0; c < width; ++c) {
        row[c] = before[r * columns + c];
        mean += row[c] / static_cast<double>(width);
      }
      for (const double v : row) variance += (v - mean) * (v - mean) / static_cast<double>(width);
      for (std::size_t c = 0; c < columns; ++c) {
        const double exact =
            c < width ? (row[c] - mean) / std::sqrt(variance + 1e-5) * gamma[c] + beta[c] : 0.0;
        EXPECT_NEAR(x[r * columns + c], exact, 1e-5) << width << " " << c;
        EXPECT_EQ(half[r * columns + c], to_bf16(x[r * columns + c])) << width << " " << c;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, VectorKernels,
                         ::testing::Values(InstructionSet::avx2, InstructionSet::avx512_core),
                         [](const auto& of) { return std::string(to_string(of.param)); });

TEST(Arena, CountsWhatItGives) {
  Arena counted;
  EXPECT_EQ(counted.take<float>(3), nullptr);
  EXPECT_EQ(counted.take<std::uint8_t>(65), nullptr);
  EXPECT_EQ(counted.used(), 64U + 128U);
  Arena real = Arena::allocate(counted.used()).value();
  auto* a = real.take<float>(3);
  auto* b = real.take<std::uint8_t>(65);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 64, 0U);
  EXPECT_EQ(reinterpret_cast<std::byte*>(b) - reinterpret_cast<std::byte*>(a), 64);
  EXPECT_EQ(b[64], 0);
  EXPECT_DEATH(real.take<float>(1), "used=");
}

}  // namespace
}  // namespace breakeven::ops::cpu
