// The GEMM on AMX tiles: out[rows, columns] = in[rows, depth] * weights, bf16 or u8 by s8, with
// what follows it (bias, scales, activation, residual) done on each 32 x 32 block of results while
// the tiles work on the next block. Only for CPUs with AMX (isa.h). docs/cpu.md says why it is
// as it is. Nothing here allocates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/panels.h"

namespace breakeven::ops::cpu {

// `from` [columns, depth] row-major; `to` has panel_weight_bytes() of bf16 or s8, 64-byte aligned.
void pack_tiles(const float* from, std::size_t columns, std::size_t depth, std::byte* to);
void pack_tiles(const std::int8_t* from, std::size_t columns, std::size_t depth, std::byte* to);

// The same split into high and low halves; `to` has panel_weight_bytes() of split.
void pack_split_tiles(const float* from, std::size_t columns, std::size_t depth, std::byte* to);

// MultiplyPanels for bf16, s8 and split weights. Leaves live tiles behind (release_tiles).
void tile_multiply(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                   std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                   std::byte* scratch, const std::byte* next = nullptr);

}  // namespace breakeven::ops::cpu
