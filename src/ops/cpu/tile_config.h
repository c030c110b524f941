// How the AMX kernels configure the eight tile registers: each has 16 rows of 64 bytes, which are
// 16 floats, 16 pairs of bf16 or 16 fours of bytes.
#pragma once

#include <cstddef>
#include <cstdint>

// Kernels are one function each: a call would leave the tiles' code without what it holds in
// registers.
#define BREAKEVEN_INLINE inline __attribute__((always_inline))

namespace breakeven::ops::cpu {

inline constexpr std::size_t kTile = 16;  // rows, and 32-bit columns
inline constexpr std::size_t kTileBytes = 1024;

// What LDTILECFG reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

}  // namespace breakeven::ops::cpu
