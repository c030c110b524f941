// The order in which the labels of a text are told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

namespace breakeven {

// order: the labels by their values, the highest first; equal ones in their own order, as Python
// sorts.
inline void rank_labels(std::span<const float> values, std::vector<std::size_t>& order) {
  order.resize(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
}

}  // namespace breakeven
