#include "text/models/piece_trie.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace breakeven::text {

// Places nodes in blocks of 256 units. Blocks that are too full to be worth a search leave the list
// of free units; the first block stays free: it is where a node without children points.
class PieceTrie::Builder {
 public:
  explicit Builder(std::vector<Unit>& units) : units_(units) {
    units_.assign(kBlock, {});
    next_.assign(kBlock, 0);
    previous_.assign(kBlock, 0);
    is_base_.assign(kBlock, true);
  }

  // A base such that the units of all `labels` behind it are free, and takes these.
  std::uint32_t place(const std::vector<unsigned char>& labels) {
    const std::uint32_t base = find_base(labels);
    is_base_[base] = true;
    for (const unsigned char label : labels) {
      const std::uint32_t unit = base ^ label;
      next_[previous_[unit]] = next_[unit];
      previous_[next_[unit]] = previous_[unit];
      units_[unit].tag = label;
    }
    return base;
  }

 private:
  static constexpr std::uint32_t kBlock = 256;
  // Looks at so many places for a node of several children before it takes a new block.
  static constexpr int kTries = 64;

  bool is_free(std::uint32_t unit) const { return units_[unit].tag == kLabel; }

  std::uint32_t find_base(const std::vector<unsigned char>& labels) {
    // Unit 0 is the head of the ring. The newest block has most room.
    int tries = 0;
    for (std::uint32_t unit = previous_[0]; unit != 0 && tries < kTries;
         unit = previous_[unit], ++tries) {
      const std::uint32_t base = unit ^ labels.front();
      if (!is_base_[base] && std::all_of(labels.begin(), labels.end(), [&](unsigned char label) {
            return is_free(base ^ label);
          }))
        return base;
    }
    return add_block();
  }

  std::uint32_t add_block() {
    const auto begin = static_cast<std::uint32_t>(units_.size());
    units_.resize(begin + kBlock);
    next_.resize(begin + kBlock);
    previous_.resize(begin + kBlock);
    is_base_.resize(begin + kBlock, false);
    for (std::uint32_t unit = begin; unit < begin + kBlock; ++unit) {
      previous_[unit] = previous_[0];
      next_[unit] = 0;
      next_[previous_[0]] = unit;
      previous_[0] = unit;
    }
    return begin;
  }

  std::vector<Unit>& units_;
  std::vector<std::uint32_t> next_, previous_;  // of a free unit, a ring
  std::vector<bool> is_base_;
};

void PieceTrie::build(const std::vector<std::string>& entries) {
  std::size_t bytes = 0;
  for (const std::string& entry : entries) bytes += entry.size();
  BREAKEVEN_CHECK(bytes < kMostBytes && entries.size() <= kMostEntries, "{} entries of {} bytes",
                  entries.size(), bytes);
  std::vector<std::uint32_t> sorted(entries.size());
  std::iota(sorted.begin(), sorted.end(), 0U);
  std::sort(sorted.begin(), sorted.end(),
            [&](std::uint32_t a, std::uint32_t b) { return entries[a] < entries[b]; });
  // The entries first..last share `depth` bytes, which lead to `parent`; no unit leads to the root.
  struct Range {
    std::uint32_t first, last, depth, parent;
  };
  constexpr std::uint32_t kNoUnit = static_cast<std::uint32_t>(-1);
  Builder builder(units_);
  std::vector<Range> left = {{0, static_cast<std::uint32_t>(entries.size()), 0, kNoUnit}};
  std::vector<unsigned char> labels;
  root_ = 0;
  while (!left.empty()) {
    Range range = left.back();
    left.pop_back();
    // The shortest comes first: the entry that ends here.
    if (range.first < range.last && entries[sorted[range.first]].size() == range.depth) {
      if (range.parent != kNoUnit)
        units_[range.parent].tag = (units_[range.parent].tag & kLabel) | sorted[range.first]
                                                                             << kLabelBits;
      ++range.first;
    } else if (range.parent != kNoUnit) {
      units_[range.parent].tag |= ~kLabel;
    }
    if (range.first == range.last) continue;
    labels.clear();
    const std::size_t children = left.size();
    for (std::uint32_t at = range.first; at < range.last; ++at) {
      const auto label = static_cast<unsigned char>(entries[sorted[at]][range.depth]);
      if (labels.empty() || labels.back() != label) {
        labels.push_back(label);
        left.push_back({at, at, range.depth + 1, label});
      }
      left.back().last = at + 1;
    }
    const std::uint32_t base = builder.place(labels);
    for (std::size_t child = children; child < left.size(); ++child) left[child].parent ^= base;
    (range.parent == kNoUnit ? root_ : units_[range.parent].base) = base;
  }
}

std::int32_t PieceTrie::find(std::string_view entry) const {
  Node node = root_;
  std::int32_t id = -1;
  for (const char c : entry)
    if (!step(node, static_cast<unsigned char>(c), id)) return -1;
  return id;
}

}  // namespace breakeven::text
