// The GEMMs by bf16 and s8 weights on vectors, one for each product instruction: every number
// of rows around a block, integers that must come out exact, guard pages, and sums of the largest
// products.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "gemm_case.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/packed_model.h"
#include "sets.h"
#include "vector_state.h"

namespace breakeven::ops::cpu {
namespace {

using Kind = GemmOutput::Kind;
using testing::choose_kind_and_panels;
using testing::GemmCase;
using testing::GemmShape;
using testing::pick;

struct Product {
  const char* name;
  InstructionSet set;  // that brings it
  WeightFormat format;
  MultiplyPanels* Kernels::*multiply;
  int weight_limit = 127;

  MultiplyPanels* kernel() const { return kernels_for(has_avx512(set)).*multiply; }
  std::size_t dword() const { return 4 / panel_weight_bytes(1, 1, format); }
  GemmShape shape(std::size_t rows, std::size_t columns, std::size_t depth) const {
    GemmShape one{rows, columns, depth, format};
    one.tiles = false;
    one.weight_limit = weight_limit;
    return one;
  }
};

constexpr Product kProducts[] = {
    {"avx2_s8", InstructionSet::avx2, WeightFormat::s8, &Kernels::multiply_small_s8, 63},
    {"avx2_vnni_s8", InstructionSet::avx2_vnni, WeightFormat::s8, &Kernels::multiply_s8},
    {"avx512_s8", InstructionSet::avx512_core, WeightFormat::s8, &Kernels::multiply_small_s8, 63},
    {"avx512_vnni_s8", InstructionSet::avx512_core_vnni, WeightFormat::s8, &Kernels::multiply_s8},
    {"avx512_bf16", InstructionSet::avx512_core_bf16, WeightFormat::bf16, &Kernels::multiply_bf16},
};

class VectorGemm : public ::testing::TestWithParam<Product> {
 protected:
  void SetUp() override {
    const std::string reason = breakeven::testing::missing(GetParam().set);
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  static void run(const GemmShape& shape, bool integers, std::uint32_t seed) {
    GemmCase one(shape, integers, seed);
    one.run(GetParam().kernel());
    one.check();
  }
};

TEST_P(VectorGemm, IntegersAreExactAroundEveryEdge) {
  std::uint32_t seed = 1;
  for (std::size_t rows = 1; rows <= 44; ++rows) {
    for (const std::size_t columns : {32U, 64U, 96U}) {
      for (const std::size_t dwords : {8U, 16U, 56U, 192U}) {
        if (dwords == 192 && rows > 16) continue;
        for (const Kind kind : {Kind::store, Kind::add}) {
          GemmShape shape = GetParam().shape(rows, columns, dwords * GetParam().dword());
          shape.kind = kind;
          shape.stores_half = rows % 2 == 0;
          run(shape, true, ++seed);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_P(VectorGemm, RandomShapesAndValues) {
  std::mt19937 random(6);
  const std::size_t dword = GetParam().dword();
  for (std::uint32_t i = 0; i < 200; ++i) {
    GemmShape shape = GetParam().shape(pick(random, 1, 100), kPanel * pick(random, 1, 6),
                                       8 * dword * pick(random, 1, 25));
    choose_kind_and_panels(shape, random);
    shape.stores_half = pick(random, 0, 1) != 0;
    shape.gap = pick(random, 0, 2) * 8 * dword;
    run(shape, false, 1000 + i);
    if (HasFatalFailure()) return;
  }
}

// Sums of 512 products of 255 by `most`, by -most, and by `most` but once one less, less 7 each.
std::vector<float> sums_of_largest(MultiplyPanels* multiply, int most) {
  constexpr std::size_t kDepth = 512;
  const std::vector<std::uint8_t> in(kDepth, 255);
  std::vector<std::int8_t> weights(kPanel * kDepth, static_cast<std::int8_t>(most));
  for (std::size_t i = 0; i < kDepth; ++i) weights[kDepth + i] = static_cast<std::int8_t>(-most);
  weights[2 * kDepth] = static_cast<std::int8_t>(most - 1);
  alignas(64) static std::byte panels[kPanel * kDepth];
  pack_panels(weights.data(), kPanel, kDepth, WeightFormat::s8, panels);
  const std::vector<float> ones(kPanel, 1.0F), column_sum(kPanel, 7.0F);
  const std::vector<std::int32_t> zero(1, 1);
  std::vector<float> sum(kPanel, 0.0F);
  alignas(64) std::byte scratch[kGemmScratchBytes];
  GemmOutput out;
  out.kind = Kind::add;
  out.full = sum.data();
  out.stride = kPanel;
  multiply({in.data(), kDepth, ones.data(), zero.data()}, 1,
           {panels, kDepth, kPanel, WeightFormat::s8, nullptr, ones.data(), column_sum.data()}, 0,
           1, out, scratch, nullptr);
  sum.resize(3);
  return sum;
}

// 16 bits on the way must not saturate with the largest weights of the product, and do with larger
// ones where it has no VNNI.
TEST_P(VectorGemm, SumsDoNotSaturate) {
  if (GetParam().format != WeightFormat::s8) GTEST_SKIP() << "bf16 has no such sums";
  const auto exact = [](int most) {
    const float largest = 255.0F * static_cast<float>(most) * 512;
    return std::vector<float>{largest - 7, -largest - 7, largest - 255 - 7};
  };
  MultiplyPanels* const multiply = GetParam().kernel();
  EXPECT_EQ(sums_of_largest(multiply, GetParam().weight_limit), exact(GetParam().weight_limit));
  EXPECT_EQ(sums_of_largest(multiply, 127) == exact(127), GetParam().weight_limit == 127);
}

// Every value of one u8 input times one weight, from -6 to 6: GELU as the FFN of int8 has it.
TEST_P(VectorGemm, GeluOfInt8IsWithinItsLimit) {
  if (GetParam().format != WeightFormat::s8) GTEST_SKIP() << "bf16 has the other GELU";
  constexpr std::size_t kRows = 256;
  constexpr std::size_t kDepth = 32;
  std::vector<std::uint8_t> in(kRows * kDepth, 0);
  for (std::size_t r = 0; r < kRows; ++r) in[r * kDepth] = static_cast<std::uint8_t>(r);
  std::vector<std::int8_t> weights(kPanel * kDepth, 0);
  for (std::size_t c = 0; c < kPanel; ++c) weights[c * kDepth] = 1;
  alignas(64) static std::byte panels[kPanel * kDepth];
  pack_panels(weights.data(), kPanel, kDepth, WeightFormat::s8, panels);
  const std::vector<float> scale(kRows, 6.0F / 128.0F), ones(kPanel, 1.0F);
  const std::vector<std::int32_t> zero(kRows, 128);
  std::vector<float> full(kRows * kPanel);
  alignas(64) std::byte scratch[kGemmScratchBytes];
  GemmOutput out;
  out.kind = Kind::activate;
  out.full = full.data();
  out.stride = kPanel;
  GetParam().kernel()({in.data(), kDepth, scale.data(), zero.data()}, kRows,
                      {panels, kDepth, kPanel, WeightFormat::s8, nullptr, ones.data(), ones.data()},
                      0, 1, out, scratch, nullptr);
  for (std::size_t i = 0; i < full.size(); ++i) {
    const double x = (static_cast<double>(i / kPanel) - 128) * 6 / 128;
    ASSERT_NEAR(full[i], 0.5 * x * std::erfc(-x / std::sqrt(2.0)),
                limit("ops/cpu/int8_gelu_abs_max"))
        << x;
  }
}

// A backend on this set multiplies by this kernel and none of the others...
TEST_P(VectorGemm, IsWhatABackendOfTheSetUses) {
  const auto precision = GetParam().format == WeightFormat::s8 ? Precision::int8 : Precision::bf16;
  const Formats formats = formats_for(precision, GetParam().set);
  EXPECT_EQ(gemm_for(formats), GetParam().kernel());
  EXPECT_EQ(formats.weights(), GetParam().format);
  EXPECT_EQ(formats.weight_limit, GetParam().weight_limit);
  EXPECT_FALSE(formats.on_tiles());
}

// ... which uses the vectors of the set. That it has VNNI shows above: without it 127 saturates.
TEST_P(VectorGemm, TheVectorsAskedForRan) {
  const std::string reason = breakeven::testing::missing(InstructionSet::avx512_core);
  if (!reason.empty()) GTEST_SKIP() << reason << ", whose registers show what ran";
  GemmCase one(GetParam().shape(13, 64, 64), true, 1);
  one.run(GetParam().kernel());  // what is slow once has happened
  breakeven::testing::forget_avx512_state();
  ASSERT_EQ(breakeven::testing::avx512_state_in_use(), 0U);
  one.run(GetParam().kernel());
  EXPECT_EQ(breakeven::testing::avx512_state_in_use() != 0, has_avx512(GetParam().set));
}

INSTANTIATE_TEST_SUITE_P(Products, VectorGemm, ::testing::ValuesIn(kProducts),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace breakeven::ops::cpu
