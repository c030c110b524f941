// Attention over packed sequences: softmax(q k^T / sqrt(D)) v for 64 query rows of one sequence and
// head a block, keys and values streamed through shared memory 64 rows at a time. Scores never
// reach memory: softmax is computed online (running maximum and sum), in fp32.
//
// FlashAttention: the tensor cores' way, head size 32 or 64; of fp32 in attention_fp32.h, for many
// sequences of more than 64 rows in attention_wide.h.
// PlainAttention: its twin for every number format and every head size up to 256.
// Scope: which keys a query sees (scope.h).
#pragma once

#include "ops/cuda/kernels/scope.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

template <class T>
struct AttentionParameters {
  const AttentionTile* tiles = nullptr;
  const T* qkv = nullptr;  // [T, 3 H]: queries, keys, values side by side
  T* ctx = nullptr;        // [T, H]
  unsigned hidden = 0;
  unsigned head_size = 0;
  float scale = 0;  // 1 / sqrt(D)
};

// A line's place in a tile in shared memory: lines of neighbouring rows are swapped around, so that
// the eight rows that one matrix load reads lie in eight different groups of banks.
template <unsigned HeadSize>
BREAKEVEN_DEVICE unsigned place_in_tile(unsigned row, unsigned line) {
  if constexpr (HeadSize == 64) return row * HeadSize + 8 * (line ^ (row & 7U));
  return row * HeadSize + 8 * (line ^ ((row >> 1) & 3U));
}

// The softmax of a lane's two query rows, l / 4 and l / 4 + 8 of its warp's 16, as far as it has
// come: the highest score and the sum of the shares that this lane has seen.
struct SoftmaxRows {
  float highest[2];
  float sum[2];
};
BREAKEVEN_DEVICE void clear(SoftmaxRows& rows) {
  BREAKEVEN_UNROLL
  for (unsigned half = 0; half < 2; ++half) {
    rows.highest[half] = minus_infinity();
    rows.sum[half] = 0;
  }
}
// The sum of a row's shares, of which four lanes have seen a part each.
template <class Thread>
BREAKEVEN_DEVICE float row_sum(Thread& t, float sum) {
  sum += t.shuffle_xor(sum, 1);
  return sum + t.shuffle_xor(sum, 2);
}

// The online softmax: scores of a tile become shares relative to the rows' maxima so far, and
// `shrink` is what brings sums made before to the new maxima. `seen(half, key)`: whether that row
// sees that key of the tile; unless MayBeBlind, each row sees one.
template <bool MayBeBlind, class Thread, unsigned KeyTiles, class Seen>
BREAKEVEN_DEVICE void soften(Thread& t, SoftmaxRows& rows, float (&scores)[KeyTiles][4],
                             float (&shrink)[2], const Seen& seen, float score_scale) {
  const float scale = score_scale * 1.4426950408889634F;  // powers of two from here on
  BREAKEVEN_UNROLL
  for (unsigned half = 0; half < 2; ++half) {
    float highest = rows.highest[half];
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < KeyTiles; ++n) {
      BREAKEVEN_UNROLL
      for (unsigned i = 0; i < 2; ++i) {
        const unsigned key = 8 * n + 2 * (t.lane() % 4) + i;
        float& score = scores[n][2 * half + i];
        score = seen(half, key) ? score * scale : minus_infinity();
        highest = largest_of(highest, score);
      }
    }
    highest = largest_of(highest, t.shuffle_xor(highest, 1));
    highest = largest_of(highest, t.shuffle_xor(highest, 2));
    float from = highest;
    if constexpr (MayBeBlind) {
      if (highest == minus_infinity()) from = 0;  // nothing has been seen: all shares become 0
    }
    shrink[half] = power_of_two(rows.highest[half] - from);  // 0 at the first tile
    rows.highest[half] = highest;
    float sum = 0;
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < KeyTiles; ++n) {
      BREAKEVEN_UNROLL
      for (unsigned i = 0; i < 2; ++i) {
        float& score = scores[n][2 * half + i];
        score = power_of_two(score - from);
        sum += score;
      }
    }
    rows.sum[half] = rows.sum[half] * shrink[half] + sum;
  }
}

// One by a row's sum of shares; 0 for a row that has seen no key.
template <bool MayBeBlind>
BREAKEVEN_DEVICE float inverse_of(float sum) {
  if constexpr (MayBeBlind) {
    if (sum == 0) return 0;
  }
  return 1.0F / sum;
}

// Grid: (tiles, heads).
template <class T, unsigned HeadSize, class Scope = AllKeys>
struct FlashAttention {
  static constexpr unsigned kHeadSize = HeadSize;
  static_assert(sizeof(T) == 2 && (kHeadSize == 32 || kHeadSize == 64));
  static constexpr const char* kName = Scope::kName;
  static constexpr unsigned kThreads = 128;                 // four warps, 16 query rows each
  static constexpr unsigned kLines = kHeadSize / 8;         // 16-byte lines of a row
  static constexpr unsigned kTile = kTileRows * kHeadSize;  // values of a tile in shared memory
  static constexpr unsigned kDepthSteps = kHeadSize / 16;
  static constexpr unsigned kKeyTiles = kTileRows / 8;
  static constexpr unsigned kOutTiles = kHeadSize / 8;
  // Queries, then two stages of keys and values.
  static constexpr std::size_t kSharedBytes = 5 * kTile * sizeof(T);

  AttentionParameters<T> p;
  [[no_unique_address]] Scope scope{};

  // What a thread keeps of its warp's 16 query rows: lane l has columns 2 (l % 4) .. + 2 of every
  // group of eight, in rows l / 4 and l / 4 + 8.
  struct Rows {
    std::uint32_t query[kDepthSteps][4];
    float out[kOutTiles][4];
    SoftmaxRows softmax;
  };
  static BREAKEVEN_DEVICE void clear(Rows& rows) {
    cuda::clear(rows.softmax);
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 4 * kOutTiles; ++i) rows.out[i / 4][i % 4] = 0;
  }

  // Starts to copy rows begin .. begin + 64, or fewer, of `from` (a column of qkv, row 0 of the
  // sequence) into a tile; rows from `end` on become zeros.
  template <unsigned Rows = kTileRows, class Thread>
  BREAKEVEN_DEVICE void fetch(Thread& t, T* tile, const T* from, unsigned begin,
                              unsigned end) const {
    const std::size_t stride = std::size_t{3} * p.hidden;
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < Rows * kLines / kThreads; ++i) {
      const unsigned index = i * kThreads + t.thread();
      const unsigned row = index / kLines;
      const unsigned line = index % kLines;
      const bool keep = begin + row < end;
      const T* source = keep ? from + (begin + row) * stride + 8 * line : from;
      t.copy_async16(tile + place_in_tile<kHeadSize>(row, line), source, keep);
    }
  }

  // 16 rows of a tile, as one operand of products.
  template <class Thread>
  static BREAKEVEN_DEVICE void load_rows(Thread& t, const T* tile, unsigned first,
                                         std::uint32_t (&to)[kDepthSteps][4]) {
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kDepthSteps; ++step) {
      t.load_matrices(to[step], tile + place_in_tile<kHeadSize>(first + t.lane() % 16,
                                                                2 * step + t.lane() / 16));
    }
  }

  // scores = queries x keys of the tile, eight keys after eight.
  template <class Thread, unsigned Eights>
  static BREAKEVEN_DEVICE void multiply_keys(Thread& t,
                                             const std::uint32_t (&queries)[kDepthSteps][4],
                                             const T* keys, float (&scores)[Eights][4]) {
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < Eights; ++n) {
      BREAKEVEN_UNROLL
      for (int i = 0; i < 4; ++i) scores[n][i] = 0;
      BREAKEVEN_UNROLL
      for (unsigned half = 0; half < kDepthSteps / 2; ++half) {
        std::uint32_t b[4];  // eight keys, depth 32 half .. + 32
        t.load_matrices(
            b, keys + place_in_tile<kHeadSize>(8 * n + t.lane() % 8, 4 * half + t.lane() / 8));
        const std::uint32_t low[2] = {b[0], b[1]};
        const std::uint32_t high[2] = {b[2], b[3]};
        t.template multiply<T>(scores[n], queries[2 * half], low);
        t.template multiply<T>(scores[n], queries[2 * half + 1], high);
      }
    }
  }

  // out = shrink out
  static BREAKEVEN_DEVICE void shrink_sums(Rows& rows, const float (&shrink)[2]) {
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 4 * kOutTiles; ++i) rows.out[i / 4][i % 4] *= shrink[i % 4 / 2];
  }

  // out += shares x values of the tile. A result of the first product is an operand of the second:
  // two groups of eight keys make one step of depth 16.
  template <class Thread, unsigned Eights>
  static BREAKEVEN_DEVICE void add_values(Thread& t, Rows& rows, const float (&shares)[Eights][4],
                                          const T* values) {
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < Eights / 2; ++step) {
      const float(&left)[4] = shares[2 * step];
      const float(&right)[4] = shares[2 * step + 1];
      const std::uint32_t a[4] = {pack_pair<T>(left[0], left[1]), pack_pair<T>(left[2], left[3]),
                                  pack_pair<T>(right[0], right[1]),
                                  pack_pair<T>(right[2], right[3])};
      BREAKEVEN_UNROLL
      for (unsigned pair = 0; pair < kOutTiles / 2; ++pair) {
        std::uint32_t b[4];  // 16 keys, columns 16 pair .. + 16
        t.load_matrices_transposed(b, values + place_in_tile<kHeadSize>(16 * step + t.lane() % 16,
                                                                        2 * pair + t.lane() / 16));
        const std::uint32_t low[2] = {b[0], b[1]};
        const std::uint32_t high[2] = {b[2], b[3]};
        t.template multiply<T>(rows.out[2 * pair], a, low);
        t.template multiply<T>(rows.out[2 * pair + 1], a, high);
      }
    }
  }

  // Divides by the sums and writes the warp's rows, by way of its own part of the query tile so
  // that memory is written in whole lines.
  template <class Thread>
  BREAKEVEN_DEVICE void finish(Thread& t, const Rows& rows, const AttentionTile& tile,
                               T* staged) const {
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      const float inverse = inverse_of<Scope::kMayBeBlind>(row_sum(t, rows.softmax.sum[half]));
      const unsigned row = 16 * t.warp() + 8 * half + t.lane() / 4;
      BREAKEVEN_UNROLL
      for (unsigned n = 0; n < kOutTiles; ++n) {
        const std::uint32_t pair =
            pack_pair<T>(rows.out[n][2 * half] * inverse, rows.out[n][2 * half + 1] * inverse);
        T* to = staged + place_in_tile<kHeadSize>(row, n) + 2 * (t.lane() % 4);
        t.store(reinterpret_cast<std::uint32_t*>(to), pair);
      }
    }
    t.sync_warp();
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 16 * kLines / kWarp; ++i) {
      const unsigned index = i * kWarp + t.lane();
      const unsigned row = 16 * t.warp() + index / kLines;
      const unsigned query = static_cast<unsigned>(tile.query_begin) + row;
      if (query >= static_cast<unsigned>(tile.rows)) continue;
      const Line line = t.load(
          reinterpret_cast<const Line*>(staged + place_in_tile<kHeadSize>(row, index % kLines)));
      const std::size_t to = (static_cast<std::size_t>(tile.first_row) + query) * p.hidden +
                             t.block_y() * kHeadSize + 8 * (index % kLines);
      t.store(reinterpret_cast<Line*>(p.ctx + to), line);
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const AttentionTile tile = t.load(p.tiles + t.block_x());
    if (scope.skips(tile)) return;
    T* shared = reinterpret_cast<T*>(t.shared());
    T* stages = shared + kTile;
    const T* sequence =
        p.qkv + static_cast<std::size_t>(tile.first_row) * 3 * p.hidden + t.block_y() * kHeadSize;
    const auto rows_end = static_cast<unsigned>(tile.rows);
    const auto valid = static_cast<unsigned>(tile.valid);
    const auto query_begin = static_cast<unsigned>(tile.query_begin);
    const unsigned keys_end = scope.end(query_begin + kTileRows - 1, valid);
    const unsigned first_tile = scope.begin(query_begin) / kTileRows;
    const auto fetch_stage = [&](unsigned i) {
      T* stage = stages + (i % 2) * 2 * kTile;
      fetch(t, stage, sequence + p.hidden, i * kTileRows, keys_end);
      fetch(t, stage + kTile, sequence + 2 * p.hidden, i * kTileRows, keys_end);
      t.commit_copies();
    };
    fetch(t, shared, sequence, query_begin, rows_end);
    fetch_stage(first_tile);

    Rows rows;
    clear(rows);
    unsigned tiles = (keys_end + kTileRows - 1) / kTileRows;
    if (Scope::kMayBeBlind && tiles <= first_tile) tiles = first_tile + 1;
    for (unsigned i = first_tile; i < tiles; ++i) {
      if (i + 1 < tiles) {
        fetch_stage(i + 1);
        t.template wait_copies<1>();
      } else {
        t.template wait_copies<0>();
      }
      t.sync();
      if (i == first_tile) load_rows(t, shared, 16 * t.warp(), rows.query);
      const T* stage = stages + (i % 2) * 2 * kTile;
      float scores[kKeyTiles][4];
      multiply_keys(t, rows.query, stage, scores);
      float shrink[2];
      const unsigned query = query_begin + 16 * t.warp() + t.lane() / 4;
      soften<Scope::kMayBeBlind>(t, rows.softmax, scores, shrink,
                                 scope.seen(valid, i * kTileRows, query), p.scale);
      shrink_sums(rows, shrink);
      add_values(t, rows, scores, stage + kTile);
      t.sync();  // the next round overwrites the stage that was just read
    }
    finish(t, rows, tile, shared);
  }
};

// A warp takes a query row of a head; grid (tiles, heads), tiles as above. Lanes share the keys out
// for the scores, and the columns of the head for the sum of values.
template <class T, class Scope = AllKeys>
struct PlainAttention {
  static constexpr char kName[] = "plain_attention";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kColumnsALane = 8;
  static constexpr unsigned kWidestHead = kColumnsALane * kWarp;
  AttentionParameters<T> p;
  [[no_unique_address]] Scope scope{};

  template <class Thread>
  BREAKEVEN_DEVICE float score(Thread& t, const T* query, const T* key) const {
    float sum = 0;
    for (unsigned d = 0; d < p.head_size; ++d) {
      sum += to_float(t.load(query + d)) * to_float(t.load(key + d));
    }
    return sum * p.scale * 1.4426950408889634F;
  }

  // `row` is the query's in its sequence.
  template <class Thread>
  BREAKEVEN_DEVICE void attend(Thread& t, const T* query, const T* sequence, unsigned row,
                               unsigned valid, T* ctx) const {
    const std::size_t stride = std::size_t{3} * p.hidden;
    float out[kColumnsALane] = {};
    float highest = minus_infinity();
    float sum = 0;
    const unsigned end = scope.end(row, valid);
    for (unsigned begin = scope.begin(row); begin < end; begin += kWarp) {
      const unsigned key = begin + t.lane();
      float own = minus_infinity();
      if (key < end) own = score(t, query, sequence + p.hidden + key * stride);
      if constexpr (Scope::kAdds) {
        if (key < end) {
          own += scope.added(t, query, sequence + p.hidden + key * stride,
                             std::size_t{t.block_y()} * p.head_size,
                             static_cast<int>(row) - static_cast<int>(key), p.head_size) *
                 p.scale * 1.4426950408889634F;
        }
      }
      const float highest_now = largest_of(highest, warp_max(t, own));
      const float shrink = power_of_two(highest - highest_now);
      highest = highest_now;
      own = power_of_two(own - highest);
      sum = sum * shrink + warp_sum(t, own);
      BREAKEVEN_UNROLL
      for (unsigned i = 0; i < kColumnsALane; ++i) out[i] *= shrink;
      for (unsigned k = 0; k < kWarp && begin + k < end; ++k) {
        const float share = t.shuffle(own, k);
        const T* value = sequence + 2 * p.hidden + (begin + k) * stride;
        BREAKEVEN_UNROLL
        for (unsigned i = 0; i < kColumnsALane; ++i) {
          const unsigned d = i * kWarp + t.lane();
          if (d < p.head_size) out[i] += share * to_float(t.load(value + d));
        }
      }
    }
    if (Scope::kMayBeBlind && sum == 0) sum = 1;
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kColumnsALane; ++i) {
      const unsigned d = i * kWarp + t.lane();
      if (d < p.head_size) t.store(ctx + d, from_float<T>(out[i] / sum));
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const AttentionTile tile = t.load(p.tiles + t.block_x());
    if (scope.skips(tile)) return;
    const std::size_t column = std::size_t{t.block_y()} * p.head_size;
    const T* sequence = p.qkv + static_cast<std::size_t>(tile.first_row) * 3 * p.hidden + column;
    const auto begin = static_cast<unsigned>(tile.query_begin);
    const auto rows = static_cast<unsigned>(tile.rows);
    for (unsigned row = begin + t.warp(); row < rows && row < begin + kTileRows;
         row += kThreads / kWarp) {
      T* ctx = p.ctx + (static_cast<std::size_t>(tile.first_row) + row) * p.hidden + column;
      attend(t, sequence + row * std::size_t{3} * p.hidden, sequence, row,
             static_cast<unsigned>(tile.valid), ctx);
    }
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
