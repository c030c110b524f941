// FlashAttention for groups of many sequences of more than 64 rows: 128 query rows a block, so that
// keys and values of a sequence of up to 128 rows are brought to shared memory once, not twice.
#pragma once

#include "ops/cuda/kernels/attention.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// Grid: (tiles of kRows query rows, heads). Keys come 64 rows at a time, the last of them in steps
// of 16 up to the sequence's end; what lies behind it is neither copied nor multiplied, and a warp
// without rows only copies.
template <class T, unsigned HeadSize>
struct WideAttention : FlashAttention<T, HeadSize> {
  using Flash = FlashAttention<T, HeadSize>;
  using typename Flash::Rows;
  static constexpr char kName[] = "wide_attention";
  static constexpr unsigned kThreads = 256;  // eight warps, 16 query rows each
  static constexpr unsigned kRows = kWideTileRows;
  static constexpr unsigned kStep = 16;  // keys of a product of depth 16
  static constexpr unsigned kSteps = kTileRows / kStep;
  // Queries, then two stages of keys and values.
  static constexpr std::size_t kSharedBytes = (kRows + 4 * kTileRows) * HeadSize * sizeof(T);

  // Scores, then shares, of the warp's rows: eight keys after eight of each step.
  using Scores = float[kSteps][2][4];

  // Starts to copy rows begin .. begin + Count of `from` (a column of qkv, row 0 of the sequence)
  // into a tile, up to the step in which `end` lies; there rows from `end` on become zeros.
  template <unsigned Count, class Thread>
  BREAKEVEN_DEVICE void fetch_steps(Thread& t, T* tile, const T* from, unsigned begin,
                                    unsigned end) const {
    const std::size_t stride = std::size_t{3} * this->p.hidden;
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < Count * Flash::kLines / kThreads; ++i) {
      const unsigned index = i * kThreads + t.thread();
      const unsigned row = index / Flash::kLines;
      const unsigned line = index % Flash::kLines;
      if (begin + row / kStep * kStep >= end) continue;
      const bool keep = begin + row < end;
      const T* source = keep ? from + (begin + row) * stride + 8 * line : from;
      t.copy_async16(tile + place_in_tile<HeadSize>(row, line), source, keep);
    }
  }

  // The online softmax as soften() has it, of a tile in which each row sees a key. The highest
  // scores are kept unscaled: the scale is part of the exponent's multiplication. In the last tile
  // only `keys` keys are there.
  template <bool Last, class Thread>
  static BREAKEVEN_DEVICE void soften_steps(Thread& t, SoftmaxRows& rows, Scores& scores,
                                            float (&shrink)[2], unsigned keys, float scale) {
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      float highest = rows.highest[half];
      BREAKEVEN_UNROLL
      for (unsigned i = 0; i < 4 * kSteps; ++i) {
        const unsigned step = i / 4;
        if (Last && step * kStep >= keys) continue;
        float& score = scores[step][i % 4 / 2][2 * half + i % 2];
        if constexpr (Last) {
          const unsigned key = kStep * step + 8 * (i % 4 / 2) + 2 * (t.lane() % 4) + i % 2;
          if (key >= keys) score = minus_infinity();
        }
        highest = largest_of(highest, score);
      }
      highest = largest_of(highest, t.shuffle_xor(highest, 1));
      highest = largest_of(highest, t.shuffle_xor(highest, 2));
      const float from = highest * scale;
      shrink[half] = power_of_two(rows.highest[half] * scale - from);  // 0 at the first tile
      rows.highest[half] = highest;
      float sum = 0;
      BREAKEVEN_UNROLL
      for (unsigned i = 0; i < 4 * kSteps; ++i) {
        const unsigned step = i / 4;
        if (Last && step * kStep >= keys) continue;
        float& score = scores[step][i % 4 / 2][2 * half + i % 2];
        score = power_of_two(score * scale - from);
        sum += score;
      }
      rows.sum[half] = rows.sum[half] * shrink[half] + sum;
    }
  }

  // A tile of `keys` keys, 64 unless it is the last one, for the warp's rows.
  template <bool Last, class Thread>
  BREAKEVEN_DEVICE void attend(Thread& t, Rows& rows, const T* stage, unsigned keys,
                               bool first) const {
    Scores scores;
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kSteps; ++step) {
      if (Last && step * kStep >= keys) continue;
      Flash::multiply_keys(t, rows.query, stage + step * kStep * HeadSize, scores[step]);
    }
    float shrink[2];
    soften_steps<Last>(t, rows.softmax, scores, shrink, keys,
                       this->p.scale * 1.4426950408889634F);  // powers of two
    if (!first) Flash::shrink_sums(rows, shrink);
    const T* values = stage + kTileRows * HeadSize;
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kSteps; ++step) {
      if (Last && step * kStep >= keys) continue;
      Flash::add_values(t, rows, scores[step], values + step * kStep * HeadSize);
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const AttentionTile tile = t.load(this->p.tiles + t.block_x());
    if (tile.rows == 0) return;
    T* queries = reinterpret_cast<T*>(t.shared());
    const T* sequence = this->p.qkv +
                        static_cast<std::size_t>(tile.first_row) * 3 * this->p.hidden +
                        t.block_y() * HeadSize;
    const auto rows_end = static_cast<unsigned>(tile.rows);
    const auto keys_end = static_cast<unsigned>(tile.valid);
    const auto query_begin = static_cast<unsigned>(tile.query_begin);
    const unsigned tiles = (keys_end + kTileRows - 1) / kTileRows;
    const auto stage = [&](unsigned i) {
      return queries + (kRows + i % 2 * 2 * kTileRows) * HeadSize;
    };
    const auto fetch_stage = [&](unsigned i) {
      const T* keys = sequence + this->p.hidden;
      fetch_steps<kTileRows>(t, stage(i), keys, i * kTileRows, keys_end);
      fetch_steps<kTileRows>(t, stage(i) + kTileRows * HeadSize, keys + this->p.hidden,
                             i * kTileRows, keys_end);
      t.commit_copies();
    };
    fetch_steps<kRows>(t, queries, sequence, query_begin, rows_end);
    fetch_stage(0);
    if (tiles > 1) fetch_stage(1);

    const bool has_rows = query_begin + 16 * t.warp() < rows_end;
    Rows rows;
    Flash::clear(rows);
    for (unsigned i = 0; i < tiles; ++i) {
      const bool last = i + 1 == tiles;
      if (last) {
        t.template wait_copies<0>();
      } else {
        t.template wait_copies<1>();
      }
      t.sync();
      if (has_rows) {
        if (i == 0) Flash::load_rows(t, queries, 16 * t.warp(), rows.query);
        if (last) {
          attend<true>(t, rows, stage(i), keys_end - i * kTileRows, i == 0);
        } else {
          attend<false>(t, rows, stage(i), kTileRows, i == 0);
        }
      }
      if (i + 2 >= tiles) continue;
      t.sync();  // all have read the stage
      fetch_stage(i + 2);
    }
    if (!has_rows) return;
    t.sync_warp();  // the warp's queries have been read: their place takes the result
    this->finish(t, rows, tile, queries);
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
