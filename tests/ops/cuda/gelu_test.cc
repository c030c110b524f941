// GELU for results of 16 bits and fewer, against erfc in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/cuda/kernels/number.h"

namespace breakeven::ops::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kEnd = 6;  // of the polynomial's fit
const double kRelative = std::ldexp(1.0, -17);
const double kBeyond = std::ldexp(1.0, -27);

double exact(double x) {
  return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}

// Bits of fraction, and the exponent of the least normal number.
template <class T>
constexpr int kFraction = std::is_same_v<T, Half>   ? 10
                          : std::is_same_v<T, Bf16> ? 7
                                                    : 3;
template <class T>
constexpr int kLeastExponent = std::is_same_v<T, Half>   ? -14
                               : std::is_same_v<T, Bf16> ? -126
                                                         : -6;

// The step from one T to the next where `value` lies.
template <class T>
double step_at(double value) {
  const int exponent = value == 0 ? kLeastExponent<T> : std::ilogb(value);
  return std::ldexp(1.0, std::max(exponent, kLeastExponent<T>) - kFraction<T>);
}

// `In`'s 65,536 values, each rounded to Out. A correctly rounded result is at most half a step away
// from the exact one; ours kRelative of the value more, so it is another one only where the exact
// one lies so close to the middle between two. How many are? Results below kBeyond are not
// counted: bf16 goes on to 2^-133.
template <class In, class Out>
int rounded_otherwise(float (*gelu)(float), bool bounded) {
  int others = 0;
  for (std::uint32_t bits = 0; bits <= 0xFFFFU; ++bits) {
    const float x = to_float(In{static_cast<std::uint16_t>(bits)});
    if (!std::isfinite(x)) continue;
    const double right = exact(static_cast<double>(x));
    const float nearest = to_float(from_float<Out>(static_cast<float>(right)));
    const float ours = to_float(from_float<Out>(gelu(x)));
    const bool beyond = static_cast<double>(x) < -kEnd;
    if (std::abs(right) >= kBeyond) others += ours != nearest ? 1 : 0;
    if (!bounded || nearest == to_float(from_float<Out>(kInfinity))) continue;
    const double most = 0.5 * step_at<Out>(right) + kRelative * std::abs(right);
    EXPECT_LE(std::abs(static_cast<double>(ours) - right), beyond ? most + kBeyond : most) << x;
  }
  return others;
}

float by_erf(float x) {
  return activate(Activation::gelu_erf, x);
}

TEST(Gelu, EveryHalfAndEveryBf16IsRoundedAsExactlyAsItsTypeCan) {
  const int half = rounded_otherwise<Half, Half>(gelu_of_16_bits, true);
  const int bf16 = rounded_otherwise<Bf16, Bf16>(gelu_of_16_bits, true);
  EXPECT_LE(half, 200);
  EXPECT_LE(bf16, 2);
  EXPECT_EQ((rounded_otherwise<Half, E4m3>(gelu_of_16_bits, true)), 0);
  // Fewer than erff in fp32.
  EXPECT_LT(half, (rounded_otherwise<Half, Half>(by_erf, false)));
  EXPECT_LT(bf16, (rounded_otherwise<Bf16, Bf16>(by_erf, false)));
}

// A product's result and its bias make any float: before it is rounded, too, the value is as exact
// as the bound above needs it, which is what a scale of int8 or fp8 divides.
TEST(Gelu, EveryFloatIsExactTo17Bits) {
  double worst = 0;
  constexpr std::uint32_t kStride = 0x1FF;  // of 2^31 floats of each sign
  for (std::uint32_t bits = 0; bits < 0x7F800000U; bits += kStride) {
    for (const float sign : {1.0F, -1.0F}) {
      const float x = sign * detail::bits_to_float(bits);
      const double right = exact(static_cast<double>(x));
      const double off = std::abs(static_cast<double>(gelu_of_16_bits(x)) - right);
      if (std::abs(static_cast<double>(x)) > kEnd) {
        ASSERT_LE(off, std::max(kBeyond, std::ldexp(std::abs(right), -24))) << x;
      } else if (std::isnormal(static_cast<float>(right))) {
        worst = std::max(worst, off / std::abs(right));
      }
    }
  }
  // The GPU's power of two is two units in the last place off at most: 2^-22.
  EXPECT_LE(worst, kRelative - std::ldexp(1.0, -22));
}

TEST(Gelu, WhatIsNoNumberStaysNone) {
  EXPECT_TRUE(std::isnan(gelu_of_16_bits(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_EQ(gelu_of_16_bits(kInfinity), kInfinity);
  EXPECT_EQ(gelu_of_16_bits(-kInfinity), 0.0F);
  EXPECT_EQ(gelu_of_16_bits(0.0F), 0.0F);
}

TEST(Gelu, Fp32KeepsErf) {
  for (const float x : {-4.0F, -1.5F, -0.1F, 0.3F, 2.0F, 5.0F}) {
    EXPECT_EQ(activate_as<float>(Activation::gelu_erf, x), activate(Activation::gelu_erf, x));
    EXPECT_EQ(activate_as<Half>(Activation::gelu_tanh, x), activate(Activation::gelu_tanh, x));
    EXPECT_EQ(activate_as<Half>(Activation::gelu_erf, x), gelu_of_16_bits(x));
  }
}

}  // namespace
}  // namespace breakeven::ops::cuda
