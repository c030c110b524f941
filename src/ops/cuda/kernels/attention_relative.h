// Attention with relative positions (ops::RelativeWeights) on tensor cores, of 16-bit numbers.
//
// Query i and key j of a tile of 64 queries and 32 keys are i - j apart: 95 distances, whose rows
// of both tables are brought to shared memory, the band. Two more products, queries x the band of
// key(R) and keys x the band of query(R), hold what the scores are added to, but on diagonals: an
// entry of row r and band row b belongs to the key, or query, r and b lead to. So each is brought
// to its place through shared memory.
#pragma once

#include "ops/cuda/kernels/attention.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// Grid: (tiles, heads).
template <class T, unsigned HeadSize>
struct RelativeAttention : FlashAttention<T, HeadSize> {
  using Flash = FlashAttention<T, HeadSize>;
  using typename Flash::Rows;
  static constexpr const char* kName = RelativeKeys<T>::kName;
  static constexpr unsigned kKeys = 32;
  static constexpr unsigned kBand = kTileRows + kKeys;  // the last one is not needed
  // Of a row of `added`: makes the places that a warp writes at once for keys x band lie in
  // different banks.
  static constexpr unsigned kStride = kKeys + 4;
  // Keys, values, the band of each table, and what is added to the scores. The queries stand where
  // a band does before the first tile of keys, and what is written behind the last.
  static constexpr std::size_t kSharedBytes =
      2 * (kKeys + kBand) * HeadSize * sizeof(T) + kTileRows * kStride * sizeof(float);

  RelativeKeys<T> relative;

  // Starts to copy the rows of a table that stand for the distances of a tile: band row b for
  // `nearest` + b.
  template <class Thread>
  BREAKEVEN_DEVICE void fetch_band(Thread& t, T* band, const T* table, int nearest) const {
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kBand * Flash::kLines / Flash::kThreads; ++i) {
      const unsigned index = i * Flash::kThreads + t.thread();
      const unsigned row = index / Flash::kLines;
      const unsigned line = index % Flash::kLines;
      const T* from = table + relative.row_of(t, nearest + static_cast<int>(row)) +
                      t.block_y() * HeadSize + 8 * line;
      t.copy_async16(band + place_in_tile<HeadSize>(row, line), from, true);
    }
  }

  // added[query][key] = keys x band. Two warps take 16 keys, each half of the 79 distances that
  // these are from the tile's queries.
  template <class Thread>
  static BREAKEVEN_DEVICE void put_keys(Thread& t, const T* keys, const T* band, float* added) {
    constexpr unsigned kEights = 5;
    const unsigned first_key = 16 * (t.warp() % 2);
    const unsigned first_column = 8 * kEights * (t.warp() / 2);
    std::uint32_t rows[Flash::kDepthSteps][4];
    Flash::load_rows(t, keys, first_key, rows);
    float sums[kEights][4];
    Flash::multiply_keys(t, rows, band + (16 - first_key + first_column) * HeadSize, sums);
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 4 * kEights; ++i) {
      const unsigned row = t.lane() / 4 + 8 * (i % 4 / 2);
      const unsigned column = first_column + 8 * (i / 4) + 2 * (t.lane() % 4) + i % 2;
      const unsigned query = column + row - 15;  // a negative one is a large one
      if (query < kTileRows) t.store(added + query * kStride + first_key + row, sums[i / 4][i % 4]);
    }
  }

  // added += queries x band, for the warp's queries; and scores += added.
  template <class Thread>
  static BREAKEVEN_DEVICE void add_to_scores(Thread& t, const Rows& rows, const T* band,
                                             float* added, float (&scores)[kKeys / 8][4]) {
    const unsigned first = 16 * t.warp();
    float* own = added + first * kStride;
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < (16 + kKeys) / 8; ++n) {
      float sums[1][4];
      Flash::multiply_keys(t, rows.query, band + (first + 8 * n) * HeadSize, sums);
      BREAKEVEN_UNROLL
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = t.lane() / 4 + 8 * (i / 2);
        const unsigned key = row + 31 - (8 * n + 2 * (t.lane() % 4) + i % 2);
        float* at = own + row * kStride + key;
        if (key < kKeys) t.store(at, t.load(at) + sums[0][i]);
      }
    }
    t.sync_warp();
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kKeys / 2; ++i) {
      const unsigned row = t.lane() / 4 + 8 * (i % 4 / 2);
      const unsigned key = 8 * (i / 4) + 2 * (t.lane() % 4) + i % 2;
      scores[i / 4][i % 4] += t.load(own + row * kStride + key);
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const AttentionParameters<T>& from = this->p;
    const AttentionTile tile = t.load(from.tiles + t.block_x());
    if (relative.skips(tile)) return;
    T* keys = reinterpret_cast<T*>(t.shared());
    T* values = keys + kKeys * HeadSize;
    T* band_of_keys = values + kKeys * HeadSize;
    T* band_of_queries = band_of_keys + kBand * HeadSize;
    auto* added = reinterpret_cast<float*>(band_of_queries + kBand * HeadSize);
    const T* sequence = from.qkv + static_cast<std::size_t>(tile.first_row) * 3 * from.hidden +
                        t.block_y() * HeadSize;
    const auto valid = static_cast<unsigned>(tile.valid);
    const auto query_begin = static_cast<unsigned>(tile.query_begin);

    Rows rows;
    Flash::clear(rows);
    this->fetch(t, band_of_keys, sequence, query_begin, static_cast<unsigned>(tile.rows));
    t.commit_copies();
    t.template wait_copies<0>();
    t.sync();
    Flash::load_rows(t, band_of_keys, 16 * t.warp(), rows.query);
    t.sync();
    for (unsigned begin = 0; begin < valid; begin += kKeys) {
      const int nearest = static_cast<int>(query_begin) - static_cast<int>(begin + kKeys - 1);
      this->template fetch<kKeys>(t, keys, sequence + from.hidden, begin, valid);
      this->template fetch<kKeys>(t, values, sequence + 2 * from.hidden, begin, valid);
      fetch_band(t, band_of_keys, relative.keys, nearest);
      fetch_band(t, band_of_queries, relative.queries, nearest);
      t.commit_copies();
      t.template wait_copies<0>();
      t.sync();
      put_keys(t, keys, band_of_queries, added);
      float scores[kKeys / 8][4];
      Flash::multiply_keys(t, rows.query, keys, scores);
      t.sync();
      add_to_scores(t, rows, band_of_keys, added, scores);
      float shrink[2];
      soften<false>(t, rows.softmax, scores, shrink, AllKeys::seen(valid, begin, 0), from.scale);
      Flash::shrink_sums(rows, shrink);
      Flash::add_values(t, rows, scores, values);
      t.sync();  // the next round overwrites all but the queries
    }
    this->finish(t, rows, tile, band_of_keys);
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
