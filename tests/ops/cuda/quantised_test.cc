// e4m3, and rows that become codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "ops/cuda/emulator/host_runtime.h"
#if defined(BREAKEVEN_CUDA_FP8)
#include <cuda_fp8.h>
#endif

namespace breakeven::ops::cuda {
namespace {

using emulator::HostRuntime;
using ::testing::IsEmpty;

// By the definition of the format: sign, 4 bits of exponent less 7, 3 of fraction.
double value_of(unsigned code) {
  const int exponent = static_cast<int>(code >> 3 & 15U);
  const double fraction = code & 7U;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  return (code & 0x80U) != 0 ? -magnitude : magnitude;
}

TEST(E4m3Codes, AllStandForTheirValues) {
  for (unsigned code = 0; code < 256; ++code) {
    const float value = to_float(E4m3{static_cast<std::uint8_t>(code)});
    if ((code & 0x7FU) == 0x7FU) {
      EXPECT_TRUE(std::isnan(value)) << code;
      EXPECT_EQ(from_float<E4m3>(value).bits & 0x7FU, 0x7FU);
      continue;
    }
    EXPECT_EQ(static_cast<double>(value), value_of(code)) << code;
    EXPECT_EQ(std::signbit(value), (code & 0x80U) != 0) << code;
    EXPECT_EQ(from_float<E4m3>(value).bits, code);
  }
  EXPECT_EQ(to_float(E4m3{0x7E}), kLargestE4m3);
}

// The nearest of the 127 values by looking at all of them; of two as near, the even code.
unsigned nearest_code(float value) {
  const double magnitude = std::fabs(static_cast<double>(value));
  unsigned best = 0;
  for (unsigned code = 1; code < 0x7F; ++code) {
    const double now = std::fabs(value_of(code) - magnitude);
    const double before = std::fabs(value_of(best) - magnitude);
    if (now < before || (now == before && code % 2 == 0)) best = code;
  }
  return best | (std::signbit(value) ? 0x80U : 0U);
}

// Numbers of every size, every border between two codes and its neighbours on both sides.
std::vector<float> many_floats() {
  std::vector<float> floats{0.0F, -0.0F, 1e-45F, 3.4e38F, std::numeric_limits<float>::infinity()};
  for (std::uint64_t bits = 0; bits < 0x7F800000U; bits += 50'021) {
    floats.push_back(detail::bits_to_float(static_cast<std::uint32_t>(bits)));
  }
  for (unsigned code = 0; code < 0x7E; ++code) {
    const auto border = static_cast<float>((value_of(code) + value_of(code + 1)) / 2);
    for (const float towards : {0.0F, border, 1e9F}) {
      floats.push_back(std::nextafter(border, towards));
    }
  }
  for (std::size_t i = floats.size(); i-- > 0;) floats.push_back(-floats[i]);
  return floats;
}

TEST(E4m3Codes, EveryFloatGoesToTheNearestAndWhatIsTooLargeToTheLargest) {
  for (const float value : many_floats()) {
    ASSERT_EQ(from_float<E4m3>(value).bits, nearest_code(value)) << value;
  }
}

TEST(E4m3Codes, PairsHaveTheFirstInTheLowByte) {
  EXPECT_EQ(pack_e4m3(1.0F, -448.0F), 0xFE38U);
  EXPECT_EQ(pack_e4m3(1e6F, 0.0F), 0x007EU);
}

#if defined(BREAKEVEN_CUDA_FP8)
TEST(E4m3Codes, AreTheToolkits) {
  for (unsigned code = 0; code < 256; ++code) {
    __nv_fp8_e4m3 theirs;
    theirs.__x = static_cast<__nv_fp8_storage_t>(code);
    const auto value = static_cast<float>(theirs);
    const float ours = to_float(E4m3{static_cast<std::uint8_t>(code)});
    EXPECT_TRUE(value == ours || (std::isnan(value) && std::isnan(ours))) << code;
  }
  for (const float value : many_floats()) {
    ASSERT_EQ(from_float<E4m3>(value).bits, __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3))
        << value;
  }
}
#endif

struct Rows {
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
};

// Rows of fp16 through a kernel of the host executor.
template <class Kernel>
Rows quantise(HostRuntime& runtime, const std::vector<Half>& values, unsigned rows) {
  const auto width = static_cast<unsigned>(values.size() / rows);
  const auto memory = runtime.allocate(std::size_t{1} << 20, Purpose::activations).value();
  const auto stream = runtime.make_stream();
  auto* in = reinterpret_cast<Half*>(memory->data);
  const QuantisedRows out{reinterpret_cast<std::uint8_t*>(memory->data) + (std::size_t{1} << 18),
                          reinterpret_cast<float*>(memory->data + (std::size_t{1} << 19))};
  runtime.copy_to_device(*stream, in, values.data(), values.size() * sizeof(Half));
  const QuantiseRows<Half, E4m3> fast{in, out, rows, width};
  Kernel kernel;
  if constexpr (std::is_same_v<Kernel, QuantiseRows<Half, E4m3>>) {
    kernel = fast;
  } else {
    kernel.fast = fast;
  }
  runtime.launch(*stream, {KernelOf<Half>(kernel), {.x = rows}});
  Rows result{std::vector<std::uint8_t>(values.size()), std::vector<float>(rows)};
  runtime.copy_to_host(*stream, result.codes.data(), out.values, result.codes.size());
  runtime.copy_to_host(*stream, result.scales.data(), out.scale, rows * sizeof(float));
  runtime.synchronise(*stream);
  return result;
}

// Rows with a value of 40 times the rest: what shares its row with it keeps three bits of fraction,
// down to 1/28,672 of it. A row of zeros and one of the smallest numbers are rows, too.
TEST(E4m3Rows, KeepSmallValuesBesideOutliers) {
  constexpr unsigned kRows = 5;
  constexpr unsigned kWidth = 520;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<Half> values(std::size_t{kRows} * kWidth);
  for (Half& value : values) value = from_float<Half>(normal(random));
  for (unsigned row = 0; row < 3; ++row) {
    values[row * kWidth + 97 * row + 5] = from_float<Half>(row % 2 == 0 ? 40.0F : -40.0F);
  }
  std::fill_n(values.begin() + 3 * kWidth, kWidth, Half{0});
  std::fill_n(values.begin() + 4 * kWidth, kWidth, Half{1});  // 2^-24
  HostRuntime runtime({.minor = 9});
  const Rows fast = quantise<QuantiseRows<Half, E4m3>>(runtime, values, kRows);
  const Rows plain = quantise<PlainQuantiseRows<Half, E4m3>>(runtime, values, kRows);
  EXPECT_THAT(runtime.report().findings, IsEmpty());
  EXPECT_EQ(fast.codes, plain.codes);
  EXPECT_EQ(fast.scales, plain.scales);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = fast.scales[i / kWidth];
    const float right = to_float(values[i]);
    const float ours = to_float(E4m3{fast.codes[i]}) * scale;
    const float allowed = std::max(std::fabs(right) / 16, scale * 0.001F);  // half a unit of 2^-9
    ASSERT_LE(std::fabs(ours - right), allowed * 1.0001F) << i;
  }
  EXPECT_EQ(fast.scales[3], 1.0F);
  EXPECT_EQ(fast.codes[3 * kWidth], 0);
  EXPECT_EQ(fast.codes[4 * kWidth], 0x7E);
}

// What the library is asked for, value by value: 16 x 16 results of rows and weights in all 254
// codes, to the nearest bf16.
TEST(E4m3Products, AreInterpretedExactly) {
  constexpr std::size_t kSize = 16;
  std::vector<E4m3> a(kSize * kSize);
  std::vector<E4m3> b(kSize * kSize);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i].bits = static_cast<std::uint8_t>((i & 0x7FU) == 0x7FU ? 0 : i);
    b[i].bits = static_cast<std::uint8_t>(a[i].bits * 31U % 127U + (i % 2) * 128U);
  }
  std::vector<Bf16> out(kSize * kSize);
  GemmCall call{.precision = Precision::fp8, .rows = kSize, .columns = kSize, .depth = kSize};
  call.a = a.data();
  call.b = b.data();
  call.out = out.data();
  call.a_row = call.b_row = call.out_row = kSize;
  emulator::multiply_column_major<E4m3, Bf16>(to_column_major(call));
  for (std::size_t r = 0; r < kSize; ++r) {
    for (std::size_t c = 0; c < kSize; ++c) {
      double sum = 0;
      for (std::size_t d = 0; d < kSize; ++d) {
        sum += value_of(a[r * kSize + d].bits) * value_of(b[c * kSize + d].bits);
      }
      EXPECT_EQ(to_float(out[r * kSize + c]), to_float(from_float<Bf16>(static_cast<float>(sum))));
    }
  }
}

// Both scales and the bias, to the nearest fp16.
TEST(E4m3Products, KnowAScaleARowAndAColumn) {
  constexpr std::size_t kRows = 3;
  constexpr std::size_t kColumns = 5;
  constexpr std::size_t kDepth = 4;
  std::vector<E4m3> a(kRows * kDepth);
  std::vector<E4m3> b(kColumns * kDepth);
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (i < a.size()) a[i].bits = static_cast<std::uint8_t>(0x30 + i);
    b[i].bits = static_cast<std::uint8_t>(0xB8 - i);
  }
  const std::vector<float> row_scale{0.5F, 0.01F, 3.0F};
  const std::vector<float> column_scale{1.0F, 0.25F, 7.0F, 0.125F, 2.0F};
  std::vector<Half> bias(kColumns);
  for (std::size_t c = 0; c < kColumns; ++c) bias[c] = from_float<Half>(static_cast<float>(c) - 2);
  std::vector<Half> out(kRows * kColumns);
  GemmCall call = dense_product(kRows, kColumns, kDepth, a.data(), b.data(), out.data());
  call.precision = Precision::fp8;
  call.row_scale = row_scale.data();
  call.column_scale = column_scale.data();
  call.bias = bias.data();
  emulator::multiply_column_major<E4m3, Half>(to_column_major(call));
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t c = 0; c < kColumns; ++c) {
      double sum = 0;
      for (std::size_t d = 0; d < kDepth; ++d) {
        sum += value_of(a[r * kDepth + d].bits) * value_of(b[c * kDepth + d].bits);
      }
      sum = sum * static_cast<double>(row_scale[r]) * static_cast<double>(column_scale[c]) +
            static_cast<double>(c) - 2;
      EXPECT_EQ(to_float(out[r * kColumns + c]),
                to_float(from_float<Half>(static_cast<float>(sum))));
    }
  }
  // Another algorithm than that of the product without scales.
  GemmCall bare = call;
  bare.row_scale = bare.column_scale = nullptr;
  EXPECT_NE(key_of(call, 0), key_of(bare, 0));
}

}  // namespace
}  // namespace breakeven::ops::cuda
