// What became of the words that a thread saw last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "text/key_table.h"

namespace breakeven::text {

// Two places for a word, in one cache line; it takes that of the older word.
class WordCache {
 public:
  static constexpr std::size_t kMaxPieces = 3;
  struct Slot {
    PieceKey key{};
    std::int32_t count = 0;
    std::int32_t ids[kMaxPieces] = {};
    bool holds(PieceKey wanted) const { return key.low == wanted.low && key.high == wanted.high; }
  };

  // The slot that holds the word, or is to hold it.
  Slot& slot(PieceKey key) {
    Pair& pair = pairs_[(key.low ^ key.high * kHashHigh) * kHashLow >> (64 - kBits)];
    if (pair.newer.holds(key)) return pair.newer;
    if (pair.older.holds(key)) return pair.older;
    std::swap(pair.newer, pair.older);
    return pair.newer;
  }

 private:
  struct alignas(64) Pair {
    Slot newer, older;
  };
  // 2 MB: on reviews a quarter of that misses three times as often.
  static constexpr std::size_t kBits = 15;
  std::vector<Pair> pairs_ = std::vector<Pair>(std::size_t{1} << kBits);
};

}  // namespace breakeven::text
