// Which keys a query attends to, as a part of the attention kernels: AllKeys, which costs nothing,
// or KeyWindow.
#pragma once

#include "ops/cuda/kernels/access.h"

namespace breakeven::ops::cuda {

inline constexpr unsigned kTileRows = 64;

// 64 query rows of one sequence, or fewer at its end. `rows` 0 marks a tile of a bucket that the
// group does not need.
struct alignas(16) AttentionTile {
  std::int32_t first_row = 0;    // of the sequence, in the group
  std::int32_t query_begin = 0;  // in the sequence
  std::int32_t rows = 0;         // of the sequence
  std::int32_t valid = 0;        // keys that may be attended to, 1 .. rows
};

// Every valid key of the sequence.
struct AllKeys {
  static constexpr char kName[] = "flash_attention";  // of the kernel that has this scope
  static constexpr bool kMayBeBlind = false;          // whether a query may see no key at all
  // Of a tile of keys and a lane's queries l / 4 and l / 4 + 8 of its warp's 16.
  struct Seen {
    unsigned keys;
    BREAKEVEN_DEVICE bool operator()(unsigned /*half*/, unsigned key) const { return key < keys; }
  };
  static BREAKEVEN_DEVICE Seen seen(unsigned valid, unsigned first_key, unsigned /*query*/) {
    return {valid - first_key};
  }
  static BREAKEVEN_DEVICE bool skips(const AttentionTile& tile) { return tile.rows == 0; }
  // Keys that queries may see that stand no earlier, no later than `query`.
  static BREAKEVEN_DEVICE unsigned begin(unsigned /*query*/) { return 0; }
  static BREAKEVEN_DEVICE unsigned end(unsigned /*query*/, unsigned valid) { return valid; }
};

// Those at most `window` away from the query; and only tiles that begin before row `queries` of a
// sequence are computed.
struct KeyWindow {
  static constexpr char kName[] = "window_attention";
  static constexpr bool kMayBeBlind = true;  // a row of padding far behind the last valid key
  static constexpr unsigned kAll = 1U << 30;
  unsigned window = kAll;
  unsigned queries = kAll;

  struct Seen {
    unsigned keys;
    int query;  // of half 0, as far behind the tile's first key
    int window;
    BREAKEVEN_DEVICE bool operator()(unsigned half, unsigned key) const {
      const int away = static_cast<int>(key) - query - static_cast<int>(8 * half);
      return key < keys && away <= window && -away <= window;
    }
  };
  BREAKEVEN_DEVICE Seen seen(unsigned valid, unsigned first_key, unsigned query) const {
    return {valid > first_key ? valid - first_key : 0,
            static_cast<int>(query) - static_cast<int>(first_key), static_cast<int>(window)};
  }
  BREAKEVEN_DEVICE bool skips(const AttentionTile& tile) const {
    return tile.rows == 0 || static_cast<unsigned>(tile.query_begin) >= queries;
  }
  BREAKEVEN_DEVICE unsigned begin(unsigned query) const {
    return query > window ? query - window : 0;
  }
  BREAKEVEN_DEVICE unsigned end(unsigned query, unsigned valid) const {
    return query + window + 1 < valid ? query + window + 1 : valid;
  }
};

}  // namespace breakeven::ops::cuda
