// FlashAttention in fp32 on tensor cores, which multiply 16-bit numbers. Every operand is split
// into two fp16 halves of 11 bits each, and a product is three: low x high + high x low + high x
// high. Left out is low x low, 2^-22 of the whole. Sums and the softmax are fp32.
#pragma once

#include "ops/cuda/kernels/attention.h"
#include "ops/cuda/kernels/split.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// Grid: (tiles, heads). As for 16 bits, but keys and values come 32 rows at a time by way of
// registers, where they are split once for all four warps.
//
// A value beyond fp16's range becomes infinite in its high half and the results that it reaches are
// no numbers: a warp that sees such does its rows plainly.
template <unsigned HeadSize, class Scope>
struct FlashAttention<float, HeadSize, Scope> {
  static constexpr unsigned kHeadSize = HeadSize;
  static_assert(kHeadSize == 32 || kHeadSize == 64);
  static constexpr const char* kName = Scope::kName;
  static constexpr unsigned kThreads = 128;  // four warps, 16 query rows each
  static constexpr unsigned kKeys = 32;      // of a tile
  static constexpr unsigned kTile = kKeys * kHeadSize;
  static constexpr unsigned kDepthSteps = kHeadSize / 16;
  static constexpr unsigned kKeyTiles = kKeys / 8;
  static constexpr unsigned kOutTiles = kHeadSize / 8;
  static constexpr unsigned kLoads = kTile / 4 / kThreads;  // lines that a thread brings of a tile
  // Two tiles of queries, then two stages of keys and values; of each tile the high halves before
  // the low ones.
  static constexpr std::size_t kSharedBytes = (2 + 4) * 2 * kTile * sizeof(Half);
  // fp16 ends at 2^-24. Shares are 1 at most and values seldom more than 100: powers of two keep
  // their low halves away from that end.
  static constexpr float kShareLift = 1024;
  static constexpr float kValueLift = 16;

  AttentionParameters<float> p;
  [[no_unique_address]] Scope scope{};

  struct Rows {
    float out[kOutTiles][4];
    SoftmaxRows softmax;
  };
  // Where this thread's line i of a tile belongs.
  template <class Thread>
  static BREAKEVEN_DEVICE unsigned row_of(Thread& t, unsigned i) {
    return (i * kThreads + t.thread()) / (kHeadSize / 4);
  }
  template <class Thread>
  static BREAKEVEN_DEVICE unsigned column_of(Thread& t) {
    return 4 * (t.thread() % (kHeadSize / 4));
  }

  // Loads rows begin .. begin + 32 of `from`, a column of qkv in row 0 of the sequence; rows from
  // `end` on are zeros.
  template <class Thread>
  BREAKEVEN_DEVICE void fetch(Thread& t, Line (&lines)[kLoads], const float* from, unsigned begin,
                              unsigned end) const {
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kLoads; ++i) {
      const unsigned row = begin + row_of(t, i);
      lines[i] = Line{{0, 0, 0, 0}};
      if (row >= end) continue;
      const float* at = from + row * std::size_t{3} * p.hidden + column_of(t);
      lines[i] = t.load(reinterpret_cast<const Line*>(at));
    }
  }

  // Splits them, times `lift`, into a tile of high and one of low halves.
  template <class Thread>
  static BREAKEVEN_DEVICE void keep(Thread& t, const Line (&lines)[kLoads], float lift,
                                    Half* tile) {
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kLoads; ++i) {
      HalfLine high;
      HalfLine low;
      BREAKEVEN_UNROLL
      for (int j = 0; j < 2; ++j) {
        const SplitPair pair = split_pair(detail::bits_to_float(lines[i].words[2 * j]) * lift,
                                          detail::bits_to_float(lines[i].words[2 * j + 1]) * lift);
        high.words[j] = pair.high;
        low.words[j] = pair.low;
      }
      const unsigned column = column_of(t);
      Half* to = tile + place_in_tile<kHeadSize>(row_of(t, i), column / 8) + column % 8;
      t.store(reinterpret_cast<HalfLine*>(to), high);
      t.store(reinterpret_cast<HalfLine*>(to + kTile), low);
    }
  }

  // large + small += a b, the two small products apart from the large one.
  template <class Thread>
  static BREAKEVEN_DEVICE void multiply(Thread& t, float (&large)[4], float (&small)[4],
                                        const std::uint32_t (&a_high)[4],
                                        const std::uint32_t (&a_low)[4],
                                        const std::uint32_t (&b_high)[2],
                                        const std::uint32_t (&b_low)[2]) {
    t.template multiply<Half>(small, a_low, b_high);
    t.template multiply<Half>(large, a_high, b_high);
    t.template multiply<Half>(small, a_high, b_low);
  }

  // scores = the warp's queries x keys of the tile. Queries are read again for each tile: there are
  // no registers for them.
  template <class Thread>
  static BREAKEVEN_DEVICE void multiply_keys(Thread& t, const Half* queries, const Half* keys,
                                             float (&scores)[kKeyTiles][4]) {
    float small[kKeyTiles][4];
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 4 * kKeyTiles; ++i) scores[i / 4][i % 4] = small[i / 4][i % 4] = 0;
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < kDepthSteps / 2; ++half) {
      std::uint32_t query_high[2][4];
      std::uint32_t query_low[2][4];
      BREAKEVEN_UNROLL
      for (unsigned side = 0; side < 2; ++side) {
        const Half* at = queries + place_in_tile<kHeadSize>(16 * (t.warp() % 2) + t.lane() % 16,
                                                            2 * (2 * half + side) + t.lane() / 16);
        t.load_matrices(query_high[side], at);
        t.load_matrices(query_low[side], at + kTile);
      }
      BREAKEVEN_UNROLL
      for (unsigned n = 0; n < kKeyTiles; ++n) {
        const Half* at =
            keys + place_in_tile<kHeadSize>(8 * n + t.lane() % 8, 4 * half + t.lane() / 8);
        std::uint32_t high[4];  // eight keys, depth 32 half .. + 32
        std::uint32_t low[4];
        t.load_matrices(high, at);
        t.load_matrices(low, at + kTile);
        BREAKEVEN_UNROLL
        for (unsigned side = 0; side < 2; ++side) {
          const std::uint32_t b_high[2] = {high[2 * side], high[2 * side + 1]};
          const std::uint32_t b_low[2] = {low[2 * side], low[2 * side + 1]};
          multiply(t, scores[n], small[n], query_high[side], query_low[side], b_high, b_low);
        }
      }
    }
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 4 * kKeyTiles; ++i) scores[i / 4][i % 4] += small[i / 4][i % 4];
  }

  // out = shrink out + shares x values of the tile. A tile's sum starts from zero and is added in
  // fp32: tensor cores cut off what does not fit a sum, which over many tiles would add up.
  template <class Thread>
  static BREAKEVEN_DEVICE void multiply_values(Thread& t, Rows& rows,
                                               const float (&shares)[kKeyTiles][4],
                                               const float (&shrink)[2], const Half* values) {
    std::uint32_t a_high[kKeys / 16][4];
    std::uint32_t a_low[kKeys / 16][4];
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kKeys / 4; ++i) {
      const float(&from)[4] = shares[i / 2];
      const SplitPair pair =
          split_pair(from[2 * (i % 2)] * kShareLift, from[2 * (i % 2) + 1] * kShareLift);
      a_high[i / 4][i % 4] = pair.high;
      a_low[i / 4][i % 4] = pair.low;
    }
    BREAKEVEN_UNROLL
    for (unsigned columns = 0; columns < kOutTiles / 2; ++columns) {
      float large[2][4] = {};
      float small[2][4] = {};
      BREAKEVEN_UNROLL
      for (unsigned step = 0; step < kKeys / 16; ++step) {
        const Half* at = values + place_in_tile<kHeadSize>(16 * step + t.lane() % 16,
                                                           2 * columns + t.lane() / 16);
        std::uint32_t high[4];  // 16 keys, columns 16 columns .. + 16
        std::uint32_t low[4];
        t.load_matrices_transposed(high, at);
        t.load_matrices_transposed(low, at + kTile);
        BREAKEVEN_UNROLL
        for (unsigned side = 0; side < 2; ++side) {
          const std::uint32_t b_high[2] = {high[2 * side], high[2 * side + 1]};
          const std::uint32_t b_low[2] = {low[2 * side], low[2 * side + 1]};
          multiply(t, large[side], small[side], a_high[step], a_low[step], b_high, b_low);
        }
      }
      BREAKEVEN_UNROLL
      for (unsigned i = 0; i < 8; ++i) {
        float& out = rows.out[2 * columns + i / 4][i % 4];
        out = out * shrink[i % 4 / 2] + (large[i / 4][i % 4] + small[i / 4][i % 4]);
      }
    }
  }

  // Divides by the sums and writes the warp's rows; four lanes write 32 bytes.
  template <class Thread>
  BREAKEVEN_DEVICE void finish(Thread& t, const Rows& rows, const float* sequence, float* ctx,
                               unsigned first, const AttentionTile& tile) const {
    const auto end = static_cast<unsigned>(tile.rows);
    float zero = 0;  // or no number
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      const float sum = row_sum(t, rows.softmax.sum[half]);
      const float inverse = inverse_of<Scope::kMayBeBlind>(sum * (kShareLift * kValueLift));
      const unsigned row = first + t.lane() / 4 + 8 * half;
      BREAKEVEN_UNROLL
      for (unsigned n = 0; n < kOutTiles; ++n) {
        const float left = rows.out[n][2 * half] * inverse;
        const float right = rows.out[n][2 * half + 1] * inverse;
        zero += 0.0F * left + 0.0F * right;
        if (row >= end) continue;
        float* to = ctx + row * std::size_t{p.hidden} + 8 * n + 2 * (t.lane() % 4);
        t.store(reinterpret_cast<HalfLine*>(to),
                HalfLine{{detail::float_to_bits(left), detail::float_to_bits(right)}});
      }
    }
    if (warp_sum(t, zero) == 0) return;
    t.sync_warp();  // others of the warp have written what is written anew
    for (unsigned row = first; row < first + 16 && row < end; ++row) {
      PlainAttention<float, Scope>{p, scope}.attend(
          t, sequence + row * std::size_t{3} * p.hidden, sequence, row,
          static_cast<unsigned>(tile.valid), ctx + row * std::size_t{p.hidden});
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const AttentionTile tile = t.load(p.tiles + t.block_x());
    if (scope.skips(tile)) return;
    Half* shared = reinterpret_cast<Half*>(t.shared());
    const auto stage = [&](unsigned i) { return shared + (1 + i % 2) * 4 * kTile; };
    const Half* queries = shared + t.warp() / 2 * 2 * kTile;
    const auto first_row = static_cast<std::size_t>(tile.first_row);
    const float* sequence = p.qkv + first_row * 3 * p.hidden + t.block_y() * kHeadSize;
    float* ctx = p.ctx + first_row * p.hidden + t.block_y() * kHeadSize;
    const auto rows_end = static_cast<unsigned>(tile.rows);
    const auto valid = static_cast<unsigned>(tile.valid);
    const auto begin = static_cast<unsigned>(tile.query_begin);
    const unsigned keys_end = scope.end(begin + kTileRows - 1, valid);
    const unsigned first_tile = scope.begin(begin) / kKeys;
    const unsigned first = begin + 16 * t.warp();

    const float* keys = sequence + p.hidden;
    const float* values = keys + p.hidden;
    Line lines[kLoads];
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      fetch(t, lines, sequence, begin + half * kKeys, rows_end);
      keep(t, lines, 1, shared + half * 2 * kTile);
    }
    fetch(t, lines, keys, first_tile * kKeys, keys_end);
    keep(t, lines, 1, stage(first_tile));
    fetch(t, lines, values, first_tile * kKeys, keys_end);
    keep(t, lines, kValueLift, stage(first_tile) + 2 * kTile);
    Rows rows;
    clear(rows.softmax);
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 4 * kOutTiles; ++i) rows.out[i / 4][i % 4] = 0;
    t.sync();
    const bool has_rows = first < rows_end;
    unsigned tiles = (keys_end + kKeys - 1) / kKeys;
    if (Scope::kMayBeBlind && tiles <= first_tile) tiles = first_tile + 1;
    for (unsigned i = first_tile; i < tiles; ++i) {
      // What comes next is on its way while this tile is multiplied, keys and values one after the
      // other for want of registers. The other stage is free: all have passed the barrier behind
      // its use.
      const bool more = i + 1 < tiles;
      float scores[kKeyTiles][4];
      if (more) fetch(t, lines, keys, (i + 1) * kKeys, keys_end);
      if (has_rows) multiply_keys(t, queries, stage(i), scores);
      if (more) {
        keep(t, lines, 1, stage(i + 1));
        fetch(t, lines, values, (i + 1) * kKeys, keys_end);
      }
      if (has_rows) {
        float shrink[2];
        soften<Scope::kMayBeBlind>(t, rows.softmax, scores, shrink,
                                   scope.seen(valid, i * kKeys, first + t.lane() / 4), p.scale);
        multiply_values(t, rows, scores, shrink, stage(i) + 2 * kTile);
      }
      if (more) keep(t, lines, kValueLift, stage(i + 1) + 2 * kTile);
      t.sync();
    }
    if (has_rows) finish(t, rows, sequence, ctx, first, tile);
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
