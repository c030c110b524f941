// The own GEMM on AMX tiles: out[rows, columns] = in[rows, depth] * weights, bf16 or u8 by s8, with
// what follows it (bias, scales, activation, residual) done on each 32 x 32 block of results while
// the tiles work on the next block. Only for CPUs with AMX (isa.h). docs/decisions/0009 says why it
// is as it is. Nothing here allocates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/kernels.h"

namespace breakeven::ops::cpu {

inline constexpr std::size_t kPanel = 32;  // output columns that are computed together
inline constexpr std::size_t kTileRowsAtOnce = 32;

// Weights [columns, depth] in tile order: [columns / 32][depth / step][2 tiles of 16 columns], one
// step being 32 bf16 or 64 s8 of depth. columns is a multiple of 32, depth of 64.
struct TileWeights {
  const std::byte* tiles = nullptr;
  std::size_t depth = 0;
  std::size_t columns = 0;
  bool int8 = false;
  const float* bias = nullptr;          // [columns]; null: none
  const float* column_scale = nullptr;  // s8: [columns]
  const float* column_sum = nullptr;    // s8: [columns], sum of a column's weights

  std::size_t panels() const { return columns / kPanel; }
  std::size_t panel_bytes() const { return depth * kPanel * (int8 ? 1 : 2); }
  const std::byte* panel(std::size_t index) const { return tiles + index * panel_bytes(); }
  // The columns first .. first + count as a matrix of their own; both multiples of 32.
  TileWeights part(std::size_t first, std::size_t count) const;
};

std::size_t tile_weight_bytes(std::size_t columns, std::size_t depth, bool int8);
// `from` [columns, depth] row-major; `to` has tile_weight_bytes(), 64-byte aligned.
void pack_tiles(const float* from, std::size_t columns, std::size_t depth, std::byte* to);
void pack_tiles(const std::int8_t* from, std::size_t columns, std::size_t depth, std::byte* to);

// Rows of bf16, or of u8 with their scales. Up to 31 rows behind the last one are read, and
// ignored: they must be memory of the same buffer.
struct TileRows {
  const void* data = nullptr;
  std::size_t stride = 0;  // elements
  const float* row_scale = nullptr;
  const std::int32_t* row_zero = nullptr;
};

// What becomes of a result. Row r, column c of the GEMM goes to [r * stride + c].
struct TileOutput {
  enum class Kind : std::uint8_t {
    half,      // half = value, as bf16
    activate,  // half = activation(value), as bf16
    add,       // sum += value, in fp32
  };
  Kind kind = Kind::half;
  Activation activation = Activation::gelu_erf;
  Bf16* half = nullptr;
  float* sum = nullptr;
  std::size_t stride = 0;  // elements
};

inline constexpr std::size_t kTileGemmScratchBytes = 2 * kPanel * kTileRowsAtOnce * sizeof(float);

// Panels panel_begin .. panel_end of the weights for `rows` >= 1 rows. `scratch` has
// kTileGemmScratchBytes, 64-byte aligned. `next` is the panel that this thread multiplies by after
// these, or null: it is brought to L2 meanwhile. Leaves live tiles behind (release_tiles).
void tile_multiply(const TileRows& in, std::size_t rows, const TileWeights& weights,
                   std::size_t panel_begin, std::size_t panel_end, const TileOutput& out,
                   std::byte* scratch, const std::byte* next = nullptr);

}  // namespace breakeven::ops::cpu
