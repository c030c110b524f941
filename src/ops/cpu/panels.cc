#include "ops/cpu/panels.h"

#include <algorithm>
#include <cstring>

namespace breakeven::ops::cpu {

std::size_t panel_weight_bytes(std::size_t columns, std::size_t depth, WeightFormat format) {
  const std::size_t element = format == WeightFormat::s8     ? 1
                              : format == WeightFormat::bf16 ? sizeof(Bf16)
                                                             : sizeof(float);
  return columns * depth * element;
}

std::size_t PanelWeights::panel_bytes() const {
  return panel_weight_bytes(kPanel, depth, format);
}

PanelWeights PanelWeights::part(std::size_t first, std::size_t count) const {
  PanelWeights cut = *this;
  cut.data += first / kPanel * panel_bytes();
  cut.columns = count;
  if (bias != nullptr) cut.bias += first;
  if (column_scale != nullptr) cut.column_scale += first;
  if (column_sum != nullptr) cut.column_sum += first;
  return cut;
}

// Sixteen dwords of depth at a time: a line of each of 32 columns, which stay in L1 while they are
// spread.
void pack_panels(const void* from, std::size_t columns, std::size_t depth, WeightFormat format,
                 std::byte* to) {
  constexpr std::size_t kStep = 16;
  constexpr std::size_t kDword = 4;
  const std::size_t dwords = panel_weight_bytes(1, depth, format) / kDword;
  const auto* in = static_cast<const std::byte*>(from);
  for (std::size_t panel = 0; panel < columns; panel += kPanel, to += dwords * kPanel * kDword) {
    for (std::size_t begin = 0; begin < dwords; begin += kStep) {
      const std::size_t end = std::min(begin + kStep, dwords);
      for (std::size_t column = 0; column < kPanel; ++column) {
        const std::byte* row = in + (panel + column) * dwords * kDword;
        for (std::size_t k = begin; k < end; ++k) {
          std::memcpy(to + (k * kPanel + column) * kDword, row + k * kDword, kDword);
        }
      }
    }
  }
}

}  // namespace breakeven::ops::cpu
