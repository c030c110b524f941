#include "emulated_tiles.h"

namespace breakeven::ops::cpu::emulated {
void multiply(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
              std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
              std::byte* scratch, const std::byte* next);
void attention(const HalfAttentionTask& task);
void release();
}  // namespace breakeven::ops::cpu::emulated

namespace breakeven::testing {

const ops::cpu::TileKernels& emulated_tiles() {
  namespace emulated = ops::cpu::emulated;
  static constexpr ops::cpu::TileKernels kKernels{emulated::multiply, emulated::attention,
                                                  emulated::release};
  return kKernels;
}

}  // namespace breakeven::testing
