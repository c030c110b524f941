// Cuts a batch into groups of sequences, each of which goes through all layers at once on one lane.
// Pure index work: no memory of the sequences themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace breakeven::engine {

// Which sequences form each group. Reused from batch to batch; allocates only while it grows.
struct Groups {
  std::vector<std::uint32_t> order;  // sequence indices, group after group
  std::vector<std::uint32_t> first;  // [groups + 1] into order
  std::vector<std::size_t> rows;     // [groups]
  std::size_t count() const { return rows.size(); }
  std::span<const std::uint32_t> members(std::size_t group) const {
    return std::span(order).subspan(first[group], first[group + 1] - first[group]);
  }
};

class GroupPlanner {
 public:
  // `row_budget`: rows a group may have (one longer sequence still makes a group of its own).
  // `wanted`: at least that many groups, when there are that many sequences; more when the budget
  // asks for it. Groups are balanced by cost, in which attention grows with the square of a
  // sequence's rows.
  void plan(std::span<const std::uint32_t> lengths, std::size_t row_budget, std::size_t wanted,
            Groups& out);

 private:
  std::vector<std::uint32_t> by_cost_;   // sequences, dearest first
  std::vector<std::uint32_t> group_of_;  // [sequences]
  std::vector<double> load_;             // [groups]
};

}  // namespace breakeven::engine
