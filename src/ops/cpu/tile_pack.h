// Weights laid out as tiles read them: in PanelWeights' layout for tiles (panels.h).
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

}  // namespace breakeven::ops::cpu
