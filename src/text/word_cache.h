// What became of the words of several pieces that a thread saw last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/key_table.h"

namespace breakeven::text {

// Direct-mapped: a word takes the place of another.
class WordCache {
 public:
  static constexpr std::size_t kMaxPieces = 3;
  struct alignas(32) Slot {
    PieceKey key{};
    std::int32_t count = 0;
    std::int32_t ids[kMaxPieces] = {};
    bool holds(PieceKey wanted) const { return key.low == wanted.low && key.high == wanted.high; }
  };

  Slot& slot(PieceKey key) {
    return slots_[(key.low ^ key.high * kHashHigh) * kHashLow >> (64 - kSlotBits)];
  }

 private:
  static constexpr std::size_t kSlotBits = 14;
  std::vector<Slot> slots_ = std::vector<Slot>(std::size_t{1} << kSlotBits);
};

}  // namespace breakeven::text
