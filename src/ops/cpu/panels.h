// What the GEMMs multiply: weights in panels of 32 output columns, rows of activations, and what
// becomes of the results. gemm_amx.cc has the kernels on AMX tiles (bf16, int8, split),
// kernels_gemm.cc those on vectors (fp32, bf16, int8).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "ops/ops.h"

namespace breakeven::ops::cpu {

using Bf16 = std::uint16_t;  // the upper half of a float
// Rounds to nearest even; not for NaN.
inline Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<Bf16>((bits + 0x7FFF + (bits >> 16 & 1U)) >> 16);
}
inline float from_bf16(Bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

inline constexpr std::size_t kPanel = 32;  // output columns that are computed together
// Rows that a GEMM is best cut at multiples of.
inline constexpr std::size_t kRowsAtOnce = 32;

enum class WeightFormat : std::uint8_t {
  bf16,
  s8,
  f32,
  split,  // fp32 as the sum of two bf16: the value rounded, and what that leaves
};

// Weights [columns, depth], panel after panel; columns is a multiple of 32.
// f32: [columns / 32][depth][32], depth a multiple of 8.
// bf16, s8 for vectors: the same, with a dword of depth (2 bf16, 4 s8) in the place of a float;
// depth a multiple of 8 dwords.
// bf16, s8 for tiles: [columns / 32][depth / step][2 tiles of 16 columns], one step being 32 bf16
// or 64 s8 of depth; depth a multiple of 64.
// split: the same with 32 of depth a step, two tiles of high halves and two of low ones.
struct PanelWeights {
  const std::byte* data = nullptr;
  std::size_t depth = 0;
  std::size_t columns = 0;
  WeightFormat format = WeightFormat::bf16;
  const float* bias = nullptr;          // [columns]; null: none
  const float* column_scale = nullptr;  // s8: [columns]
  const float* column_sum = nullptr;    // s8: [columns], sum of a column's weights

  std::size_t panels() const { return columns / kPanel; }
  std::size_t panel_bytes() const;
  const std::byte* panel(std::size_t index) const { return data + index * panel_bytes(); }
  // The columns first .. first + count as a matrix of their own; both multiples of 32.
  PanelWeights part(std::size_t first, std::size_t count) const;
};

std::size_t panel_weight_bytes(std::size_t columns, std::size_t depth, WeightFormat format);
// For vectors: `from` [columns, depth] row-major, of floats, bf16 or s8; `to` has
// panel_weight_bytes() of them.
void pack_panels(const void* from, std::size_t columns, std::size_t depth, WeightFormat format,
                 std::byte* to);

// Rows of fp32 or bf16, or of u8 with their scales, or split: `stride` high halves, then as many
// low ones, a row being 4 * stride bytes. On tiles up to 31 rows after the last one are read, and
// ignored: they must be memory of the same buffer.
struct GemmRows {
  const void* data = nullptr;
  std::size_t stride = 0;  // elements
  const float* row_scale = nullptr;
  const std::int32_t* row_zero = nullptr;
};

// What becomes of a result. Row r, column c of the GEMM goes to [r * stride + c] (gate: of what is
// left of its columns).
struct GemmOutput {
  enum class Kind : std::uint8_t {
    store,  // value: from bf16 and s8 weights as bf16 to `half` (vectors: if set), else to `full`
    activate,  // activation(value), to the same; from split weights to `half`, split
    add,       // full += value
    // activation(a) * b, a being the values of a panel's first 16 columns and b those of its last:
    // 16 results a panel, to the same places as `activate`.
    gate,
  };
  Kind kind = Kind::store;
  Activation activation = Activation::gelu_erf;
  Bf16* half = nullptr;
  float* full = nullptr;
  std::size_t stride = 0;  // elements
};

inline constexpr std::size_t kGemmScratchBytes = 2 * kPanel * kRowsAtOnce * sizeof(float);

// Panels panel_begin .. panel_end of the weights for `rows` >= 1 rows. `scratch` has
// kGemmScratchBytes, 64-byte aligned. `next` is the panel that this thread multiplies by after
// these, or null: it is brought to L2 meanwhile.
using MultiplyPanels = void(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                            std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                            std::byte* scratch, const std::byte* next);

}  // namespace breakeven::ops::cpu
