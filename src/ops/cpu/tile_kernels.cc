// Plain code: what is compiled for AMX must not be reached on other CPUs.
#include "ops/cpu/tile_kernels.h"

namespace breakeven::ops::cpu {

namespace amx {
void multiply(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
              std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
              std::byte* scratch, const std::byte* next);
void attention(const HalfAttentionTask& task);
void release();
}  // namespace amx

const TileKernels& amx_tiles() {
  static constexpr TileKernels kKernels{amx::multiply, amx::attention, amx::release};
  return kKernels;
}

// Two copies of keys and values as tiles; scores, their shares and the context of 32 queries;
// products of all keys and of those queries with the distances.
std::size_t tile_attention_scratch_bytes(std::size_t longest, std::size_t head_size,
                                         std::size_t distances) {
  constexpr std::size_t kQueries = 32;
  const std::size_t keys = padded(longest, kQueries);
  const std::size_t depth = padded(head_size, kQueries);
  return 2 * keys * depth * sizeof(Bf16) +
         kQueries * (keys * (sizeof(float) + sizeof(Bf16)) + depth * sizeof(float)) +
         (keys + kQueries) * padded(distances, kPanel) * sizeof(float);
}

}  // namespace breakeven::ops::cpu
