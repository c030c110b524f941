// The entries of a vocabulary by their bytes, as a double array: a step from a node to its child is
// one load of 8 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven::text {

class PieceTrie {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 24;  // of all entries together
  static constexpr std::size_t kMostEntries = (std::size_t{1} << 23) - 1;

  // A node is the place that its children are counted from.
  using Node = std::uint32_t;

  // `entries` by id, none twice.
  void build(const std::vector<std::string>& entries);

  Node root() const { return root_; }
  // Moves `node` to its child; false, and nothing moves, where it has none. `id`: of the entry that
  // ends at the child, -1 where none does.
  bool step(Node& node, unsigned char byte, std::int32_t& id) const {
    const Unit unit = units_[node ^ byte];
    if ((unit.tag & kLabel) != byte) return false;
    node = unit.base;
    id = static_cast<std::int32_t>(unit.tag) >> kLabelBits;
    return true;
  }
  // The id of an entry; -1: it is none.
  std::int32_t find(std::string_view entry) const;

 private:
  static constexpr unsigned kLabelBits = 9;
  static constexpr std::uint32_t kLabel = (1U << kLabelBits) - 1;
  // Of a free unit the label is no byte. A node's base is no other node's, so that a label that
  // fits tells whose child a unit is.
  struct Unit {
    std::uint32_t base = 0;
    std::uint32_t tag = kLabel;  // id, -1 for none, and below it the byte that leads here
  };
  class Builder;

  std::vector<Unit> units_ = std::vector<Unit>(256);
  Node root_ = 0;
};

}  // namespace breakeven::text
