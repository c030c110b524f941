// The GEMM on tiles, the CPU's and emulated ones: random shapes, integers that must come out exact,
// and where the CPU has tiles the same bits from both.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "gemm_case.h"
#include "tile_sets.h"

namespace breakeven::ops::cpu {
namespace {

using Kind = GemmOutput::Kind;
using breakeven::testing::Guarded;
using testing::choose_kind_and_panels;
using testing::GemmCase;
using testing::GemmShape;
using testing::pick;

using breakeven::testing::Tiles;

class TileGemm : public ::testing::TestWithParam<Tiles> {
 protected:
  void SetUp() override {
    const std::string reason = breakeven::testing::missing(GetParam());
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  static const TileKernels& tiles() { return breakeven::testing::kernels_of(GetParam()); }
  static void run(const GemmShape& shape, bool integers, std::uint32_t seed) {
    GemmCase one(shape, integers, seed);
    one.run(tiles().multiply, &tiles());
    one.check();
    if (GetParam() == Tiles::emulated) return;
    GemmCase other(shape, integers, seed);
    const TileKernels& emulated = breakeven::testing::emulated_tiles();
    other.run(emulated.multiply, &emulated);
    EXPECT_TRUE(one.same_results(other)) << testing::describe(shape);
  }
};

TEST_P(TileGemm, IntegersAreExactAroundEveryEdge) {
  std::uint32_t seed = 1;
  for (const WeightFormat format : {WeightFormat::bf16, WeightFormat::s8, WeightFormat::split}) {
    for (const std::size_t rows : {1U, 2U, 15U, 16U, 17U, 31U, 32U, 33U, 48U, 64U, 65U}) {
      for (const std::size_t columns : {32U, 64U, 96U}) {
        for (const std::size_t depth : {64U, 128U, 192U, 768U}) {
          for (const Kind kind : {Kind::store, Kind::add}) {
            run({rows, columns, depth, format, kind}, true, ++seed);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST_P(TileGemm, RandomShapesAndValues) {
  std::mt19937 random(5);
  for (std::uint32_t i = 0; i < 450; ++i) {
    GemmShape shape{pick(random, 1, 100), kPanel * pick(random, 1, 6), 64 * pick(random, 1, 7)};
    constexpr WeightFormat kFormats[] = {WeightFormat::bf16, WeightFormat::s8, WeightFormat::split};
    shape.format = kFormats[i % 3];
    choose_kind_and_panels(shape, random);
    run(shape, false, 1000 + i);
    if (HasFatalFailure()) return;
  }
}

// Products of 255 x 127 of one sign, as many as fp32 holds exactly: two columns that differ by one
// step of one weight must differ by exactly that.
TEST_P(TileGemm, Int8SumsDoNotSaturate) {
  constexpr std::size_t kDepth = 512;
  Guarded<std::uint8_t> in(32 * kDepth);
  for (std::size_t i = 0; i < 32 * kDepth; ++i) in.data()[i] = 255;
  std::vector<std::int8_t> weights(kPanel * kDepth, 127);
  for (std::size_t i = 0; i < kDepth; ++i) weights[kDepth + i] = -127;
  weights[2 * kDepth] = 126;
  Guarded<std::byte> packed(panel_weight_bytes(kPanel, kDepth, WeightFormat::s8));
  pack_tiles(weights.data(), kPanel, kDepth, packed.data());
  const std::vector<float> scale(kPanel, 1.0F), row_scale(1, 1.0F), column_sum(kPanel, 7.0F);
  const std::vector<std::int32_t> zero(1, 1);
  std::vector<float> sum(kPanel, 0.0F);
  alignas(64) std::byte scratch[kGemmScratchBytes];
  GemmOutput out;
  out.kind = Kind::add;
  out.full = sum.data();
  out.stride = kPanel;
  tiles().multiply(
      {in.data(), kDepth, row_scale.data(), zero.data()}, 1,
      {packed.data(), kDepth, kPanel, WeightFormat::s8, nullptr, scale.data(), column_sum.data()},
      0, 1, out, scratch, nullptr);
  tiles().release();
  constexpr float kLargest = 255 * 127 * static_cast<float>(kDepth);
  EXPECT_EQ(sum[0], kLargest - 7);
  EXPECT_EQ(sum[1], -kLargest - 7);
  EXPECT_EQ(sum[2], kLargest - 255 - 7);
}

// 1 + 2^-9 takes both halves: the products that a single bf16 one would lose must be there.
TEST_P(TileGemm, SplitKeepsSixteenBits) {
  constexpr std::size_t kDepth = 64;
  constexpr float kValue = 1.0F + 0x1p-9F;
  Guarded<Bf16> in(32 * 2 * kDepth);
  for (std::size_t i = 0; i < 32 * 2 * kDepth; ++i) {
    in.data()[i] = to_bf16(i / kDepth % 2 == 0 ? 1.0F : 0x1p-9F);
  }
  const std::vector<float> weights(kPanel * kDepth, kValue);
  Guarded<std::byte> packed(panel_weight_bytes(kPanel, kDepth, WeightFormat::split));
  pack_split_tiles(weights.data(), kPanel, kDepth, packed.data());
  std::vector<float> full(kPanel, 0.0F);
  alignas(64) std::byte scratch[kGemmScratchBytes];
  GemmOutput out;
  out.full = full.data();
  out.stride = kPanel;
  tiles().multiply({in.data(), kDepth}, 1, {packed.data(), kDepth, kPanel, WeightFormat::split}, 0,
                   1, out, scratch, nullptr);
  tiles().release();
  for (const float value : full) EXPECT_EQ(value, 64.0F * (1.0F + 2 * 0x1p-9F));
}

INSTANTIATE_TEST_SUITE_P(Tiles, TileGemm, ::testing::Values(Tiles::emulated, Tiles::hardware),
                         [](const auto& of) { return breakeven::testing::name_of(of.param); });

}  // namespace
}  // namespace breakeven::ops::cpu
