// AMX's tile instructions as plain C++: registers with the rows and bytes that a configuration
// gives them, and a stop where the CPU would raise an exception. A stand-in for ops/cpu/tiles.inc.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "ops/cpu/tile_config.h"
#include "ops/cpu/tile_kernels.h"

namespace breakeven::ops::cpu::emulated {

struct TileRegister {
  std::size_t rows = 0;  // 0: not configured
  std::size_t row_bytes = 0;
  alignas(64) std::uint8_t bytes[16][64] = {};
};
struct TileUnit {
  bool configured = false;
  std::array<TileRegister, 8> tiles{};

  TileRegister& tile(int index) {
    TileRegister& chosen = tiles[static_cast<std::size_t>(index)];
    BREAKEVEN_CHECK(configured && chosen.rows > 0, "tile {} is not configured", index);
    return chosen;
  }
};
inline TileUnit& tile_unit() {
  static thread_local TileUnit unit;
  return unit;
}

inline void load_config(const TileConfig& config) {
  BREAKEVEN_CHECK(config.palette == 1 && config.start_row == 0, "palette={} start_row={}",
                  config.palette, config.start_row);
  TileUnit unit;
  unit.configured = true;
  for (std::size_t i = 0; i < unit.tiles.size(); ++i) {
    BREAKEVEN_CHECK(config.rows[i] <= 16 && config.row_bytes[i] <= 64,
                    "tile {}: {} rows of {} bytes", i, config.rows[i], config.row_bytes[i]);
    BREAKEVEN_CHECK((config.rows[i] == 0) == (config.row_bytes[i] == 0),
                    "tile {}: {} rows of {} bytes", i, config.rows[i], config.row_bytes[i]);
    unit.tiles[i].rows = config.rows[i];
    unit.tiles[i].row_bytes = config.row_bytes[i];
  }
  tile_unit() = unit;
}
inline void load_config() {
  load_config(TileConfig{});
}
inline void release_tiles() {
  tile_unit() = TileUnit{};
}

template <int Register>
void load_tile(const void* from, std::size_t stride) {
  TileRegister& tile = tile_unit().tile(Register);
  for (std::size_t row = 0; row < tile.rows; ++row) {
    std::memcpy(tile.bytes[row], static_cast<const std::byte*>(from) + row * stride,
                tile.row_bytes);
    std::memset(tile.bytes[row] + tile.row_bytes, 0, 64 - tile.row_bytes);
  }
}
template <int Register>
void load_passing_tile(const void* from, std::size_t stride) {
  load_tile<Register>(from, stride);
}
template <int Register>
void store_tile(void* to, std::size_t stride) {
  const TileRegister& tile = tile_unit().tile(Register);
  for (std::size_t row = 0; row < tile.rows; ++row) {
    std::memcpy(static_cast<std::byte*>(to) + row * stride, tile.bytes[row], tile.row_bytes);
  }
}
template <int Register>
void zero_tile() {
  std::memset(tile_unit().tile(Register).bytes, 0, sizeof(TileRegister::bytes));
}

// A product needs a dword of the first operand's rows for each row of the second.
struct Operands {
  TileRegister& sum;
  const TileRegister& first;
  const TileRegister& second;
  Operands(int c, int a, int b)
      : sum(tile_unit().tile(c)), first(tile_unit().tile(a)), second(tile_unit().tile(b)) {
    BREAKEVEN_CHECK(c != a && c != b && a != b, "the same tile twice: {} {} {}", c, a, b);
    BREAKEVEN_CHECK(sum.rows == first.rows && sum.row_bytes == second.row_bytes &&
                        first.row_bytes == 4 * second.rows,
                    "{} x {} by {} x {} bytes to {} x {}", first.rows, first.row_bytes, second.rows,
                    second.row_bytes, sum.rows, sum.row_bytes);
  }
};

// Denormals are zeros, whatever MXCSR says.
inline float flushed(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x;
}
inline float half_at(const std::uint8_t* row, std::size_t index) {
  std::uint16_t half = 0;
  std::memcpy(&half, row + 2 * index, sizeof(half));
  return flushed(from_bf16(half));
}

// Even and odd halves of the depth have a sum of their own, by fused multiply-adds; the two are
// added, and then to what the tile held.
template <int Sum, int First, int Second>
void multiply_bf16() {
  const Operands tiles(Sum, First, Second);
  // All 16 columns: those behind row_bytes are zeros and stay so.
  constexpr std::size_t kColumns = 16;
  float second[2][16][kColumns];  // even and odd halves of each dword
  for (std::size_t k = 0; k < tiles.second.rows; ++k) {
    for (std::size_t n = 0; n < kColumns; ++n) {
      for (std::size_t odd = 0; odd < 2; ++odd) {
        second[odd][k][n] = half_at(tiles.second.bytes[k], 2 * n + odd);
      }
    }
  }
  for (std::size_t m = 0; m < tiles.sum.rows; ++m) {
    float sums[2][kColumns] = {};
    for (std::size_t k = 0; k < tiles.second.rows; ++k) {
      for (std::size_t odd = 0; odd < 2; ++odd) {
        const float factor = half_at(tiles.first.bytes[m], 2 * k + odd);
        for (std::size_t n = 0; n < kColumns; ++n) {
          sums[odd][n] = flushed(std::fma(factor, second[odd][k][n], sums[odd][n]));
        }
      }
    }
    for (std::size_t n = 0; n < kColumns; ++n) {
      float held = 0;
      std::memcpy(&held, tiles.sum.bytes[m] + 4 * n, sizeof(held));
      held = flushed(flushed(held) + flushed(sums[0][n] + sums[1][n]));
      std::memcpy(tiles.sum.bytes[m] + 4 * n, &held, sizeof(held));
    }
  }
}

// u8 by s8; sums wrap.
template <int Sum, int First, int Second>
void multiply_int8() {
  const Operands tiles(Sum, First, Second);
  for (std::size_t m = 0; m < tiles.sum.rows; ++m) {
    for (std::size_t n = 0; n < tiles.sum.row_bytes / 4; ++n) {
      std::uint32_t sum = 0;
      std::memcpy(&sum, tiles.sum.bytes[m] + 4 * n, sizeof(sum));
      for (std::size_t k = 0; k < tiles.second.rows; ++k) {
        for (std::size_t i = 0; i < 4; ++i) {
          const int product = tiles.first.bytes[m][4 * k + i] *
                              static_cast<std::int8_t>(tiles.second.bytes[k][4 * n + i]);
          sum += static_cast<std::uint32_t>(product);
        }
      }
      std::memcpy(tiles.sum.bytes[m] + 4 * n, &sum, sizeof(sum));
    }
  }
}

}  // namespace breakeven::ops::cpu::emulated

namespace breakeven::testing {
// The AMX kernels on the stand-in: the product's sources, compiled once more.
const ops::cpu::TileKernels& emulated_tiles();
}  // namespace breakeven::testing
