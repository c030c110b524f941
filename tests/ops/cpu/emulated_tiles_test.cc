// The stand-in for AMX's tiles: what it computes, what it refuses, and, where the CPU has tiles,
// that both give the same bits.
#include "emulated_tiles.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <vector>

#include "sets.h"

namespace breakeven::ops::cpu {
namespace {

namespace hardware {
#include "ops/cpu/tiles.inc"
}

struct Tile {
  alignas(64) std::uint8_t bytes[16][64] = {};
};

template <void (*Multiply)()>
Tile emulate(const Tile& sum, const Tile& first, const Tile& second) {
  emulated::load_config();
  emulated::load_tile<0>(sum.bytes, 64);
  emulated::load_tile<1>(first.bytes, 64);
  emulated::load_tile<2>(second.bytes, 64);
  Multiply();
  Tile result;
  emulated::store_tile<0>(result.bytes, 64);
  emulated::release_tiles();
  return result;
}
template <void (*Multiply)()>
Tile run_on_cpu(const Tile& sum, const Tile& first, const Tile& second) {
  hardware::load_config();
  hardware::load_tile<0>(sum.bytes, 64);
  hardware::load_tile<1>(first.bytes, 64);
  hardware::load_tile<2>(second.bytes, 64);
  Multiply();
  Tile result;
  hardware::store_tile<0>(result.bytes, 64);
  hardware::release_tiles();
  return result;
}

float& float_at(Tile& tile, std::size_t row, std::size_t column) {
  return reinterpret_cast<float*>(tile.bytes[row])[column];
}
Bf16& half_at(Tile& tile, std::size_t row, std::size_t column) {
  return reinterpret_cast<Bf16*>(tile.bytes[row])[column];
}
constexpr auto kBf16 = emulate<emulated::multiply_bf16<0, 1, 2>>;
constexpr auto kInt8 = emulate<emulated::multiply_int8<0, 1, 2>>;

// Row 0 by column 0: pairs of depth lie side by side in both operands.
TEST(EmulatedTiles, MultiplyPairsOfBf16) {
  Tile sum, first, second;
  float_at(sum, 0, 0) = 0.5F;
  half_at(first, 0, 0) = to_bf16(2);
  half_at(first, 0, 1) = to_bf16(3);
  half_at(first, 0, 2) = to_bf16(5);
  half_at(second, 0, 0) = to_bf16(10);
  half_at(second, 0, 1) = to_bf16(100);
  half_at(second, 1, 0) = to_bf16(1000);
  Tile result = kBf16(sum, first, second);
  EXPECT_EQ(float_at(result, 0, 0), 0.5F + 20 + 300 + 5000);
  EXPECT_EQ(float_at(result, 0, 1), 0.0F);
  EXPECT_EQ(float_at(result, 1, 0), 0.0F);
}

// Denormal operands, sums and results are zeros.
TEST(EmulatedTiles, FlushDenormals) {
  constexpr float kLeast = 0x1p-126F;
  const auto product = [](float held, float a, float b) {
    Tile sum, first, second;
    float_at(sum, 0, 0) = held;
    half_at(first, 0, 0) = static_cast<Bf16>(std::bit_cast<std::uint32_t>(a) >> 16);
    half_at(second, 0, 0) = static_cast<Bf16>(std::bit_cast<std::uint32_t>(b) >> 16);
    Tile result = kBf16(sum, first, second);
    return float_at(result, 0, 0);
  };
  EXPECT_EQ(product(0, kLeast, 1), kLeast);
  EXPECT_EQ(product(0, kLeast / 2, 0x1p100F), 0.0F) << "a denormal operand";
  EXPECT_EQ(product(0, kLeast, 0.5F), 0.0F) << "a denormal product";
  EXPECT_EQ(product(kLeast / 2, 0, 0), 0.0F) << "a denormal sum";
  EXPECT_EQ(product(kLeast, -1.5F * kLeast, 0.5F), kLeast) << "flushed before it is added";
}

// 2^24 + 1 is lost where it is added to 2^24, and not where both sums of a pair meet first.
TEST(EmulatedTiles, AddEvenAndOddHalvesApart) {
  Tile sum, first, second;
  half_at(first, 0, 0) = to_bf16(0x1p12F);  // even: 2^24, then + 1: lost
  half_at(second, 0, 0) = to_bf16(0x1p12F);
  half_at(first, 0, 2) = to_bf16(1);
  half_at(second, 1, 0) = to_bf16(1);
  half_at(first, 0, 1) = to_bf16(1);  // odd: 1
  half_at(second, 0, 1) = to_bf16(1);
  float_at(sum, 0, 0) = -0x1p24F;
  Tile result = kBf16(sum, first, second);
  EXPECT_EQ(float_at(result, 0, 0), 0.0F) << "1 + 1 in one sum would be 2";
}

TEST(EmulatedTiles, MultiplyBytesWithoutSaturating) {
  Tile sum, first, second;
  std::fill_n(&first.bytes[0][0], 64, std::uint8_t{255});
  for (auto& row : second.bytes) std::fill_n(row, 4, static_cast<std::uint8_t>(-128));
  std::int32_t* held = reinterpret_cast<std::int32_t*>(sum.bytes[0]);
  held[0] = 7;
  Tile result = kInt8(sum, first, second);
  EXPECT_EQ(reinterpret_cast<std::int32_t*>(result.bytes[0])[0], 7 - 64 * 255 * 128);
}

TEST(EmulatedTilesDeathTest, StopWhereTheCpuWould) {
  std::vector<std::byte> memory(16 * 64);
  EXPECT_DEATH(emulated::load_tile<0>(memory.data(), 64), "tile 0 is not configured");
  EXPECT_DEATH((emulated::load_config(), emulated::release_tiles(), emulated::zero_tile<3>()),
               "tile 3 is not configured");
  TileConfig config;
  config.rows[1] = 17;
  EXPECT_DEATH(emulated::load_config(config), "17 rows of 64 bytes");
  config = {};
  config.row_bytes[2] = 68;
  EXPECT_DEATH(emulated::load_config(config), "16 rows of 68 bytes");
  config = {};
  config.palette = 2;
  EXPECT_DEATH(emulated::load_config(config), "palette=2");
  config = {};
  config.rows[2] = 8;
  EXPECT_DEATH((emulated::load_config(config), emulated::multiply_bf16<0, 1, 2>()),
               "16 x 64 by 8 x 64");
  EXPECT_DEATH((emulated::load_config(), emulated::multiply_bf16<0, 1, 1>()),
               "the same tile twice");
}

// Any bits at all, so denormals, infinities and NaNs, too: NaNs must be NaNs in both.
TEST(EmulatedTiles, GiveTheBitsOfTheCpu) {
  const std::string reason = breakeven::testing::missing(InstructionSet::avx512_core_amx);
  if (!reason.empty()) GTEST_SKIP() << reason;
  std::mt19937 random(11);
  const auto fill = [&](Tile& tile, int kind) {
    for (auto& row : tile.bytes) {
      for (std::size_t i = 0; i < 16; ++i) {
        // 0: any bits; 1: halves around 1; 2: halves around the smallest normal number.
        const auto any = static_cast<std::uint32_t>(random());
        const std::uint32_t near = kind == 1 ? 0x3F003F00U : 0x00800080U;
        const std::uint32_t bits = kind == 0 ? any : (any & 0x80FF80FFU) | near;
        std::memcpy(row + 4 * i, &bits, sizeof(bits));
      }
    }
  };
  for (int round = 0; round < 300; ++round) {
    Tile sum, first, second;
    fill(sum, round % 3);
    fill(first, round % 3);
    fill(second, round % 3 == 2 ? 1 : round % 3);
    Tile ours = kBf16(sum, first, second);
    Tile theirs = run_on_cpu<hardware::multiply_bf16<0, 1, 2>>(sum, first, second);
    for (std::size_t i = 0; i < 256; ++i) {
      const float a = float_at(ours, i / 16, i % 16);
      const float b = float_at(theirs, i / 16, i % 16);
      EXPECT_TRUE((std::isnan(a) && std::isnan(b)) ||
                  std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b))
          << "round " << round << " at " << i << ": " << a << " and " << b;
    }
    ours = kInt8(sum, first, second);
    theirs = run_on_cpu<hardware::multiply_int8<0, 1, 2>>(sum, first, second);
    EXPECT_EQ(std::memcmp(ours.bytes, theirs.bytes, sizeof(ours.bytes)), 0) << "round " << round;
  }
}

}  // namespace
}  // namespace breakeven::ops::cpu
