// A batch cut into groups of sequences. Only the order inside of a batch changes; results go back
// to their place.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/plan.h"

namespace breakeven::engine {

// What a text costs, in rows of linear layers. Attention grows with the square of its rows, but not
// in layers with a window. The defaults are BERT-base's.
struct TextCost {
  double keys = 4608;  // so many cost a row as much in attention as its linear layers
  double near = 0;     // share of the layers that have a window
  double seen = 0;     // keys that a row sees in those, at most

  double operator()(std::uint32_t rows) const {
    return rows + rows * ((1 - near) * rows + near * std::min<double>(rows, seen)) / keys;
  }
};
TextCost text_cost_of(const model::EncoderPlan& plan);

// The groups of one or several batches.
struct Groups {
  std::vector<std::uint32_t> order;  // texts, group after group
  std::vector<std::size_t> first;    // [groups + 1] where each group starts in `order`
  std::vector<std::size_t> rows;     // [groups]
  std::size_t count() const { return rows.size(); }
  std::span<const std::uint32_t> members(std::size_t group) const {
    return std::span(order).subspan(first[group], first[group + 1] - first[group]);
  }
  void clear();
};

class GroupPlanner {
 public:
  // Appends the groups of a batch whose texts are first_text, first_text + 1 ... `row_budget`: rows
  // that a group may have (one longer text still makes a group of its own). `wanted`: at least so
  // many groups where there are so many texts; more when the budget asks for it. Groups are
  // balanced by `cost`.
  void cut(std::span<const std::uint32_t> lengths, std::uint32_t first_text, std::size_t row_budget,
           std::size_t wanted, Groups& out, const TextCost& cost = {});

 private:
  bool spread(std::span<const std::uint32_t> lengths, std::size_t row_budget, std::size_t count,
              const TextCost& cost);

  std::vector<std::uint32_t> by_cost_;   // texts, dearest first
  std::vector<std::uint32_t> group_of_;  // [texts]
  std::vector<double> load_;             // [groups]
  std::vector<std::size_t> rows_;        // [groups]
};

}  // namespace breakeven::engine
