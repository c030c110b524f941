#include "ops/cpu/panels.h"

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

// Sixteen of depth at a time: a line of each of 32 rows, which stay in L1 while they are spread.
void pack_f32_panels(const float* from, std::size_t columns, std::size_t depth, std::byte* to) {
  constexpr std::size_t kStep = 16;
  auto* out = reinterpret_cast<float*>(to);
  for (std::size_t panel = 0; panel < columns; panel += kPanel, out += depth * kPanel) {
    for (std::size_t begin = 0; begin < depth; begin += kStep) {
      const std::size_t end = begin + kStep < depth ? begin + kStep : depth;
      for (std::size_t column = 0; column < kPanel; ++column) {
        const float* row = from + (panel + column) * depth;
        for (std::size_t k = begin; k < end; ++k) out[k * kPanel + column] = row[k];
      }
    }
  }
}

}  // namespace breakeven::ops::cpu
