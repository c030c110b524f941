// Which keys a query attends to, and what is added to their scores, as a part of the attention
// kernels: AllKeys, which costs nothing, KeyWindow or RelativeKeys.
#pragma once

#include "ops/cuda/kernels/access.h"

namespace breakeven::ops::cuda {

inline constexpr unsigned kTileRows = 64;
inline constexpr unsigned kWideTileRows = 128;  // of WideAttention, query rows only

// 64 or 128 query rows of one sequence, as Bucket::tile_rows says, or fewer at its end. `rows` 0
// marks a tile of a bucket that the group does not need.
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
  static constexpr bool kAdds = false;                // whether scores depend on the distance
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
  static constexpr bool kAdds = false;
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

// Every valid key, by scores that relative positions add to (ops::RelativeWeights): q_i and k_j are
// multiplied with rows of two tables, both the one that stands for i - j.
template <class T>
struct RelativeKeys {
  static constexpr char kName[] = "relative_attention";
  static constexpr bool kMayBeBlind = false;
  static constexpr bool kAdds = true;
  const T* keys = nullptr;               // [2 span, H]: key(R)
  const T* queries = nullptr;            // [2 span, H]: query(R)
  const std::int32_t* places = nullptr;  // RelativeDistances::rows
  unsigned positions = 0;
  unsigned hidden = 0;
  unsigned rows = 0;  // only tiles that begin before this row of a sequence are computed

  BREAKEVEN_DEVICE bool skips(const AttentionTile& tile) const {
    return tile.rows == 0 || static_cast<unsigned>(tile.query_begin) >= rows;
  }
  static BREAKEVEN_DEVICE unsigned begin(unsigned /*query*/) { return 0; }
  static BREAKEVEN_DEVICE unsigned end(unsigned /*query*/, unsigned valid) { return valid; }
  // Where the tables' row of a distance, query - key, begins. What no query and key of a sequence
  // are apart stands for the furthest that are.
  template <class Thread>
  BREAKEVEN_DEVICE std::size_t row_of(Thread& t, int distance) const {
    const int last = static_cast<int>(positions) - 1;
    const int at = distance > last ? last : distance < -last ? -last : distance;
    return static_cast<std::size_t>(t.load(places + (last - at))) * hidden;
  }
  // Of a query and a key that begin at `column` of their rows.
  template <class Thread>
  BREAKEVEN_DEVICE float added(Thread& t, const T* query, const T* key, std::size_t column,
                               int distance, unsigned head_size) const {
    const std::size_t at = row_of(t, distance) + column;
    float sum = 0;
    for (unsigned d = 0; d < head_size; ++d) {
      sum += to_float(t.load(query + d)) * to_float(t.load(keys + at + d)) +
             to_float(t.load(key + d)) * to_float(t.load(queries + at + d));
    }
    return sum;
  }
};

}  // namespace breakeven::ops::cuda
