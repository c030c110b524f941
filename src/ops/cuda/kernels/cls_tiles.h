// ClsAttention (kernels/cls.h) on tensor cores: the heads of a sequence are the query rows of one
// mma tile, and x is both its keys and its values, so that x is read once.
//
// A warp owns 96 columns of x. It multiplies them with its columns of the heads' keys, which stay
// in registers: a part of every score. The parts of all warps are added up in shared memory, every
// warp softens all scores (online: running maximum and sum), and multiplies them with its columns
// again. Many keys of few sequences are shared out over several blocks, whose sums ClsMerge joins.
#pragma once

#include "ops/cuda/kernels/attention.h"
#include "ops/cuda/kernels/cls.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

inline constexpr unsigned kClsHeads = 16;  // rows of an mma tile
inline constexpr unsigned kClsKeys = 16;   // keys at a time: its depth

// How the keys of every sequence are shared out.
struct ClsSplit {
  unsigned parts = 1;
  float* mixes = nullptr;  // [B, parts, N, H]: sums of shares and x, relative to the part's maximum
  float* stats = nullptr;  // [B, parts, N, 2]: that maximum, as a power of two, and sum of shares

  static constexpr unsigned kMostParts = 8;
  static constexpr std::size_t floats(std::size_t heads, std::size_t hidden) {
    return heads * (hidden + 2);  // of a part of a sequence
  }
  // Parts of each of B sequences of up to `longest` rows, where `room` parts fit.
  // A part of fewer keys would not be worth a second kernel.
  static constexpr std::size_t parts_for(std::size_t sequences, std::size_t longest,
                                         std::size_t room) {
    constexpr std::size_t kLeastKeys = 96;
    constexpr std::size_t kBlocks = 128;  // about the multiprocessors of a large GPU
    std::size_t most = longest / kLeastKeys;
    for (const std::size_t other :
         {kBlocks / sequences, room / sequences, std::size_t{kMostParts}}) {
      if (other < most) most = other;
    }
    return most < 2 ? 1 : most;
  }
  // Keys of a part of a sequence of `valid`: whole tiles. Later parts may be empty.
  BREAKEVEN_DEVICE unsigned keys(unsigned valid) const {
    const unsigned tiles = (valid + kClsKeys - 1) / kClsKeys;
    return (tiles + parts - 1) / parts * kClsKeys;
  }
};

// Grid: (sequences, parts, heads / kClsHeads rounded up). H is a multiple of 8 and at most kWidest.
template <class T, unsigned Warps>
struct ClsTiles {
  static_assert(sizeof(T) == 2 && (Warps == 4 || Warps == 8));
  static constexpr char kName[] = "cls_tiles";
  static constexpr unsigned kThreads = Warps * kWarp;
  static constexpr unsigned kGroups = 3;  // of 32 columns, a warp's
  static constexpr unsigned kColumns = 32 * kGroups;
  static constexpr unsigned kWidest = Warps * kColumns;
  static constexpr unsigned kOutTiles = kColumns / 8;
  static constexpr unsigned kScores = kClsHeads * kClsKeys;
  static constexpr unsigned kTile = kClsKeys * kColumns;  // values of a warp's part of 16 rows of x
  static constexpr std::size_t kSharedBytes =
      Warps * kTile * sizeof(T) + (Warps + 1) * kScores * sizeof(float);

  ClsParameters<T> p;
  ClsSplit split;

  // A lane's lines of 16 rows: rows lane / 4 and lane / 4 + 8, columns 32 group + 8 (lane % 4) ..
  // + 8. They are operands of mma as they are: in which order the columns of a product are summed
  // does not matter, as long as both operands have the same. A line is two steps of depth 16.
  struct Lines {
    Line of[kGroups][2];
  };
  struct alignas(8) Pair {
    float values[2];
  };
  struct Sums {
    float out[kOutTiles][4];
    SoftmaxRows softmax;
  };

  static BREAKEVEN_DEVICE void clear_sums(Sums& sums) {
    clear(sums.softmax);
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < kOutTiles; ++n) {
      BREAKEVEN_UNROLL
      for (int i = 0; i < 4; ++i) sums.out[n][i] = 0;
    }
  }

  // A line's place in the warp's tile [group][row][line], swapped around so that neither a matrix
  // load nor a store of lines meets a bank twice.
  static BREAKEVEN_DEVICE unsigned place(unsigned row, unsigned line) {
    return line / 4 * (kClsKeys * 32) + row * 32 + 8 * ((line ^ (row >> 1)) & 3U);
  }

  // Rows begin .. begin + 16 of `from`, zeros from row `end` and column H on.
  template <class Thread>
  BREAKEVEN_DEVICE void load_lines(Thread& t, Lines& lines, const T* from, unsigned begin,
                                   unsigned end) const {
    BREAKEVEN_UNROLL
    for (unsigned group = 0; group < kGroups; ++group) {
      const unsigned column = t.warp() * kColumns + 32 * group + 8 * (t.lane() % 4);
      BREAKEVEN_UNROLL
      for (unsigned half = 0; half < 2; ++half) {
        const unsigned row = begin + 8 * half + t.lane() / 4;
        lines.of[group][half] = Line{{0, 0, 0, 0}};
        if (row < end && column < p.hidden) {
          lines.of[group][half] = t.load(reinterpret_cast<const Line*>(
              from + static_cast<std::size_t>(row) * p.hidden + column));
        }
      }
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void stage(Thread& t, const Lines& lines, T* tile) const {
    BREAKEVEN_UNROLL
    for (unsigned group = 0; group < kGroups; ++group) {
      BREAKEVEN_UNROLL
      for (unsigned half = 0; half < 2; ++half) {
        T* to = tile + place(8 * half + t.lane() / 4, 4 * group + t.lane() % 4);
        t.store(reinterpret_cast<Line*>(to), lines.of[group][half]);
      }
    }
  }

  // The warp's part of the scores of 16 heads and 16 keys.
  template <class Thread>
  BREAKEVEN_DEVICE void score(Thread& t, const Lines& keys, const Lines& x,
                              float (&part)[2][4]) const {
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < 2; ++n) {
      BREAKEVEN_UNROLL
      for (int i = 0; i < 4; ++i) part[n][i] = 0;
      BREAKEVEN_UNROLL
      for (unsigned group = 0; group < kGroups; ++group) {
        const std::uint32_t(&upper)[4] = keys.of[group][0].words;
        const std::uint32_t(&lower)[4] = keys.of[group][1].words;
        const std::uint32_t(&right)[4] = x.of[group][n].words;
        BREAKEVEN_UNROLL
        for (unsigned step = 0; step < 4; step += 2) {
          const std::uint32_t a[4] = {upper[step], lower[step], upper[step + 1], lower[step + 1]};
          const std::uint32_t b[2] = {right[step], right[step + 1]};
          t.template multiply<T>(part[n], a, b);
        }
      }
    }
  }

  // Makes the warp's parts of scores the whole scores, the same bits in every warp. In shared
  // memory they lie in the order of mma's registers.
  template <class Thread>
  BREAKEVEN_DEVICE void add_up(Thread& t, float* parts, float (&scores)[2][4]) const {
    float* whole = parts + Warps * kScores;
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < 2; ++n) {
      Line line;
      BREAKEVEN_UNROLL
      for (int i = 0; i < 4; ++i) line.words[i] = detail::float_to_bits(scores[n][i]);
      float* to = parts + t.warp() * kScores + (n * kWarp + t.lane()) * 4;
      t.store(reinterpret_cast<Line*>(to), line);
    }
    t.sync();
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kScores / kThreads; ++i) {
      const unsigned at = i * kThreads + t.thread();
      float sum = 0;
      BREAKEVEN_UNROLL
      for (unsigned w = 0; w < Warps; ++w) sum += t.load(parts + w * kScores + at);
      t.store(whole + at, sum);
    }
    t.sync();
    BREAKEVEN_UNROLL
    for (unsigned n = 0; n < 2; ++n) {
      const Line line = t.load(reinterpret_cast<const Line*>(whole + (n * kWarp + t.lane()) * 4));
      BREAKEVEN_UNROLL
      for (int i = 0; i < 4; ++i) scores[n][i] = detail::bits_to_float(line.words[i]);
    }
  }

  // out = shrink out + shares x the warp's columns of the staged rows.
  template <class Thread>
  BREAKEVEN_DEVICE void mix(Thread& t, Sums& sums, const float (&shares)[2][4],
                            const float (&shrink)[2], const T* tile) const {
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < 4 * kOutTiles; ++i) sums.out[i / 4][i % 4] *= shrink[i % 4 / 2];
    const std::uint32_t a[4] = {
        pack_pair<T>(shares[0][0], shares[0][1]), pack_pair<T>(shares[0][2], shares[0][3]),
        pack_pair<T>(shares[1][0], shares[1][1]), pack_pair<T>(shares[1][2], shares[1][3])};
    BREAKEVEN_UNROLL
    for (unsigned pair = 0; pair < kOutTiles / 2; ++pair) {
      std::uint32_t b[4];  // 16 keys, columns 16 pair .. + 16
      t.load_matrices_transposed(b, tile + place(t.lane() % 16, 2 * pair + t.lane() / 16));
      const std::uint32_t left[2] = {b[0], b[1]};
      const std::uint32_t right[2] = {b[2], b[3]};
      t.template multiply<T>(sums.out[2 * pair], a, left);
      t.template multiply<T>(sums.out[2 * pair + 1], a, right);
    }
  }

  // Divides by the sums of shares and writes the warp's columns, by way of its tile so that memory
  // is written in lines.
  template <class Thread>
  BREAKEVEN_DEVICE void finish(Thread& t, const Sums& sums, T* tile, T* to, unsigned heads) const {
    t.sync_warp();
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      const float inverse = 1.0F / sums.softmax.sum[half];
      BREAKEVEN_UNROLL
      for (unsigned n = 0; n < kOutTiles; ++n) {
        const std::uint32_t pair =
            pack_pair<T>(sums.out[n][2 * half] * inverse, sums.out[n][2 * half + 1] * inverse);
        T* at = tile + place(8 * half + t.lane() / 4, n) + 2 * (t.lane() % 4);
        t.store(reinterpret_cast<std::uint32_t*>(at), pair);
      }
    }
    t.sync_warp();
    BREAKEVEN_UNROLL
    for (unsigned group = 0; group < kGroups; ++group) {
      const unsigned column = t.warp() * kColumns + 32 * group + 8 * (t.lane() % 4);
      BREAKEVEN_UNROLL
      for (unsigned half = 0; half < 2; ++half) {
        const unsigned head = 8 * half + t.lane() / 4;
        if (head >= heads || column >= p.hidden) continue;
        const Line line =
            t.load(reinterpret_cast<const Line*>(tile + place(head, 4 * group + t.lane() % 4)));
        T* at = to + static_cast<std::size_t>(head) * p.hidden + column;
        t.store(reinterpret_cast<Line*>(at), line);
      }
    }
  }

  // Writes the sums as they are. `part`: its number among those of all sequences.
  template <class Thread>
  BREAKEVEN_DEVICE void hand_over(Thread& t, const Sums& sums, std::size_t part,
                                  unsigned first_head, unsigned heads) const {
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned head = 8 * half + t.lane() / 4;
      if (head >= heads) continue;
      const std::size_t row = part * p.heads + first_head + head;
      if (t.warp() == 0 && t.lane() % 4 == 0) {
        t.store(split.stats + 2 * row, sums.softmax.highest[half]);
        t.store(split.stats + 2 * row + 1, sums.softmax.sum[half]);
      }
      BREAKEVEN_UNROLL
      for (unsigned n = 0; n < kOutTiles; ++n) {
        const unsigned column = t.warp() * kColumns + 8 * n + 2 * (t.lane() % 4);
        if (column >= p.hidden) continue;
        const Pair pair{{sums.out[n][2 * half], sums.out[n][2 * half + 1]}};
        t.store(reinterpret_cast<Pair*>(split.mixes + row * p.hidden + column), pair);
      }
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned b = t.block_x();
    const unsigned first_head = t.block_z() * kClsHeads;
    const unsigned heads = p.heads - first_head < kClsHeads ? p.heads - first_head : kClsHeads;
    const std::size_t at = (static_cast<std::size_t>(b) * p.heads + first_head) * p.hidden;
    const auto valid = static_cast<unsigned>(t.load(p.valid + b));
    const T* x = p.x + static_cast<std::size_t>(t.load(p.first_row + b)) * p.hidden;
    const unsigned part_keys = split.keys(valid);
    const unsigned begin = t.block_y() * part_keys;
    if (begin >= valid) return;
    const unsigned end = begin + part_keys < valid ? begin + part_keys : valid;
    Lines keys;
    load_lines(t, keys, p.keys + at, 0, heads);
    Lines rows;
    load_lines(t, rows, x, begin, end);

    float* parts = reinterpret_cast<float*>(t.shared());
    T* tile = reinterpret_cast<T*>(parts + (Warps + 1) * kScores) + t.warp() * kTile;
    Sums sums;
    clear_sums(sums);
    for (unsigned key = begin; key < end; key += kClsKeys) {
      t.sync_warp();  // the tile has been read
      stage(t, rows, tile);
      float shares[2][4];
      score(t, keys, rows, shares);
      if (key + kClsKeys < end) load_lines(t, rows, x, key + kClsKeys, end);
      add_up(t, parts, shares);
      float shrink[2];
      soften<false>(t, sums.softmax, shares, shrink, AllKeys::Seen{end - key}, p.scale);
      mix(t, sums, shares, shrink, tile);
    }
    BREAKEVEN_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      sums.softmax.sum[half] = row_sum(t, sums.softmax.sum[half]);
    }
    if (split.parts == 1) {
      finish(t, sums, tile, p.mix + at, heads);
    } else {
      hand_over(t, sums, static_cast<std::size_t>(b) * split.parts + t.block_y(), first_head,
                heads);
    }
  }
};

// Joins what several blocks have of a sequence. Grid: (sequences, heads); a thread takes 8 columns.
template <class T>
struct ClsMerge {
  static constexpr char kName[] = "cls_merge";
  static constexpr unsigned kThreads = 128;
  ClsParameters<T> p;
  ClsSplit split;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    constexpr unsigned kMost = ClsSplit::kMostParts;
    const std::size_t b = t.block_x();
    const auto valid = static_cast<unsigned>(t.load(p.valid + b));
    const unsigned part_keys = split.keys(valid);
    const unsigned parts = (valid + part_keys - 1) / part_keys;
    const auto row = [&](unsigned part) {
      return (b * split.parts + part) * p.heads + t.block_y();
    };
    float share[kMost];
    float sum[kMost];
    float highest = minus_infinity();
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kMost; ++i) {
      share[i] = minus_infinity();
      sum[i] = 0;
      if (i >= parts) continue;
      share[i] = t.load(split.stats + 2 * row(i));
      sum[i] = t.load(split.stats + 2 * row(i) + 1);
    }
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kMost; ++i) highest = largest_of(highest, share[i]);
    float total = 0;
    BREAKEVEN_UNROLL
    for (unsigned i = 0; i < kMost; ++i) {
      share[i] = power_of_two(share[i] - highest);
      total += share[i] * sum[i];
    }
    for (unsigned c = 8 * t.thread(); c < p.hidden; c += 8 * kThreads) {
      float mixed[8] = {};
      BREAKEVEN_UNROLL
      for (unsigned part = 0; part < kMost; ++part) {
        if (part >= parts) continue;
        float values[8];
        load_eight(t, split.mixes + row(part) * p.hidden + c, values);
        BREAKEVEN_UNROLL
        for (int i = 0; i < 8; ++i) mixed[i] += share[part] * values[i];
      }
      BREAKEVEN_UNROLL
      for (int i = 0; i < 8; ++i) mixed[i] /= total;
      store_eight(t, p.mix + (b * p.heads + t.block_y()) * p.hidden + c, mixed);
    }
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
