#include "ops/cpu/tile_pack.h"

#include "ops/cpu/tile_config.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kPairs = 32;  // bf16 in a row of a tile

// In a tile of weights a row holds one dword of depth (2 bf16 or 4 s8) for each of 16 columns.
template <class Convert>
Bf16* pack_half_tiles(const float* from, std::size_t depth, Bf16* to, const Convert& convert) {
  for (std::size_t tile = 0; tile < kPanel; tile += kTile) {
    for (std::size_t row = 0; row < kTile; ++row) {
      for (std::size_t column = tile; column < tile + kTile; ++column) {
        const float* pair = from + column * depth + 2 * row;
        *to++ = convert(pair[0]);
        *to++ = convert(pair[1]);
      }
    }
  }
  return to;
}

}  // namespace

void pack_tiles(const float* from, std::size_t columns, std::size_t depth, std::byte* to) {
  auto* half = reinterpret_cast<Bf16*>(to);
  for (std::size_t panel = 0; panel < columns; panel += kPanel) {
    for (std::size_t k = 0; k < depth; k += kPairs) {
      half = pack_half_tiles(from + panel * depth + k, depth, half, to_bf16);
    }
  }
}

void pack_split_tiles(const float* from, std::size_t columns, std::size_t depth, std::byte* to) {
  const auto rest = [](float value) { return to_bf16(value - from_bf16(to_bf16(value))); };
  auto* half = reinterpret_cast<Bf16*>(to);
  for (std::size_t panel = 0; panel < columns; panel += kPanel) {
    for (std::size_t k = 0; k < depth; k += kPairs) {
      const float* block = from + panel * depth + k;
      half = pack_half_tiles(block, depth, half, to_bf16);
      half = pack_half_tiles(block, depth, half, rest);
    }
  }
}

void pack_tiles(const std::int8_t* from, std::size_t columns, std::size_t depth, std::byte* to) {
  for (std::size_t panel = 0; panel < columns; panel += kPanel) {
    for (std::size_t k = 0; k < depth; k += 4 * kTile) {
      for (std::size_t tile = panel; tile < panel + kPanel; tile += kTile) {
        for (std::size_t row = 0; row < kTile; ++row) {
          for (std::size_t column = tile; column < tile + kTile; ++column) {
            const std::int8_t* four = from + column * depth + k + 4 * row;
            for (std::size_t i = 0; i < 4; ++i) *to++ = static_cast<std::byte>(four[i]);
          }
        }
      }
    }
  }
}

}  // namespace breakeven::ops::cpu
