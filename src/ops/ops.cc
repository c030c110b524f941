#include "ops/ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace breakeven::ops {

// Blocks as wide as the hidden layer where they fit, so that up and down are as large as the
// projection; else as few as a CPU's L2 can hold beside a chunk of rows, and a GPU's warp a row of.
// 64: a tile's row of bytes.
FfnCut cut_ffn(std::size_t hidden, std::size_t intermediate) {
  constexpr std::size_t kStep = 64, kLargest = 1024;
  if (intermediate % hidden == 0 && hidden % kStep == 0 && hidden <= kLargest) {
    return {hidden, intermediate / hidden};
  }
  const std::size_t blocks = (intermediate + kLargest - 1) / kLargest;
  const std::size_t even = (intermediate + blocks - 1) / blocks;
  return {(even + kStep - 1) / kStep * kStep, blocks};
}

std::size_t RelativeDistances::row(std::ptrdiff_t distance) const {
  const auto away = static_cast<double>(distance < 0 ? -distance : distance);
  const auto linear = static_cast<double>(near);
  double step = away;
  if (away > linear && near < farthest) {
    const double whole = std::log((static_cast<double>(farthest) - 1) / linear);
    step = linear + std::ceil(std::log(away / linear) / whole * (linear - 1));
  }
  const auto middle = static_cast<double>(span);
  return static_cast<std::size_t>(
      std::clamp(middle + (distance < 0 ? -step : step), 0.0, 2 * middle - 1));
}

std::vector<std::int32_t> RelativeDistances::rows(std::size_t positions) const {
  std::vector<std::int32_t> all(2 * positions - 1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto distance =
        static_cast<std::ptrdiff_t>(positions - 1) - static_cast<std::ptrdiff_t>(i);
    all[i] = static_cast<std::int32_t>(row(distance));
  }
  return all;
}

std::vector<float> RelativeWeights::normed(std::size_t hidden) const {
  std::vector<float> all(table.begin(), table.end());
  if (norm.gamma.empty()) return all;
  for (std::size_t first = 0; first < all.size(); first += hidden) {
    const std::span<float> row(all.data() + first, hidden);
    const double count = static_cast<double>(hidden);
    const double mean = std::accumulate(row.begin(), row.end(), 0.0) / count;
    double squares = 0;
    for (const float value : row) squares += (value - mean) * (value - mean);
    const double inverse = 1 / std::sqrt(squares / count + static_cast<double>(norm.eps));
    for (std::size_t h = 0; h < hidden; ++h) {
      row[h] = static_cast<float>((row[h] - mean) * inverse * norm.gamma[h] + norm.beta[h]);
    }
  }
  return all;
}

std::vector<float> rotary_table(double theta, std::size_t head_size, std::size_t positions) {
  const std::size_t half = head_size / 2;
  std::vector<float> table(positions * head_size);
  for (std::size_t d = 0; d < half; ++d) {
    // Frequencies and angles are fp32 in Transformers, and 8,191 radians carry that far.
    const float power = static_cast<float>(2 * d) / static_cast<float>(head_size);
    const float frequency = 1.0F / static_cast<float>(std::pow(theta, static_cast<double>(power)));
    for (std::size_t p = 0; p < positions; ++p) {
      const auto angle = static_cast<double>(static_cast<float>(p) * frequency);
      table[p * head_size + d] = static_cast<float>(std::cos(angle));
      table[p * head_size + half + d] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

void write_positions(const Batch& batch, std::int32_t uncounted_id, std::span<std::int32_t> to) {
  for (std::size_t b = 0; b < batch.sequences(); ++b) {
    std::int32_t last = uncounted_id;
    for (auto t = static_cast<std::size_t>(batch.cu_seqlens[b]);
         std::cmp_less(t, batch.cu_seqlens[b + 1]); ++t) {
      to[t] = uncounted_id >= 0 && batch.ids[t] == uncounted_id ? uncounted_id : ++last;
    }
  }
}

}  // namespace breakeven::ops
