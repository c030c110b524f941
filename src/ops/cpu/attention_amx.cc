// Attention of one head on AMX tiles: bf16 products, fp32 scores, softmax and sums.
#include "ops/cpu/tile_kernels.h"
// What follows is compiled for AMX.
#include "ops/cpu/amx_begin.inc"

namespace breakeven::ops::cpu::BREAKEVEN_TILES_NAMESPACE {
namespace {

#ifndef BREAKEVEN_EMULATED_TILES
#include "ops/cpu/tiles.inc"
#endif
#include "ops/cpu/transpose_avx512.inc"

constexpr std::size_t kPairs = 32;           // bf16 in a row of a tile
constexpr std::size_t kQueries = 2 * kTile;  // rows handled at once
constexpr float kMasked = -1.0e30F;

constexpr std::size_t round_up(std::size_t n, std::size_t step) {
  return (n + step - 1) / step * step;
}

// Where things lie in the scratch memory of a task.
struct Room {
  std::size_t keys;     // padded to 32
  std::size_t depth;    // head size padded to 32
  Bf16* packed_keys;    // [keys / 16][depth / 32] tiles: pairs of depth by keys
  Bf16* packed_values;  // [keys / 32][depth / 16] tiles: pairs of keys by depth
  float* scores;        // [32, keys]
  Bf16* shares;         // [32, keys]
  float* context;       // [32, depth]
  // With distances: products with those that the task meets.
  DistanceTerms::Columns met;
  float* by_query = nullptr;  // [32, met.count]
  float* by_key = nullptr;    // [keys, met.count]

  explicit Room(const HalfAttentionTask& task)
      : keys(round_up(task.keys, kPairs)), depth(round_up(task.head_size, kPairs)) {
    packed_keys = reinterpret_cast<Bf16*>(task.scratch);
    packed_values = packed_keys + keys * depth;
    scores = reinterpret_cast<float*>(packed_values + keys * depth);
    shares = reinterpret_cast<Bf16*>(scores + kQueries * keys);
    context = reinterpret_cast<float*>(shares + kQueries * keys);
    if (task.distances.rows == nullptr) return;
    met = task.distances.met(task.keys, task.query_begin, task.query_end);
    by_query = context + kQueries * depth;
    by_key = by_query + kQueries * met.count;
  }
};

// The columns of a head from `first` on, at most 32 of them.
inline __mmask32 columns_left(std::size_t head_size, std::size_t first) {
  const std::size_t left = head_size - first;
  return left >= kPairs ? 0xFFFFFFFFU : (1U << left) - 1;
}

void pack_keys(const HalfAttentionTask& task, const Room& room) {
  Bf16* to = room.packed_keys;
  for (std::size_t key = 0; key < room.keys; key += kTile) {
    for (std::size_t d = 0; d < room.depth; d += kPairs, to += kTileBytes / sizeof(Bf16)) {
      const __mmask32 mask = columns_left(task.head_size, d);
      __m512i rows[16];
      for (std::size_t r = 0; r < kTile; ++r) {
        const bool real = key + r < task.keys;
        rows[r] = _mm512_maskz_loadu_epi16(real ? mask : 0,
                                           task.k + (real ? key + r : 0) * task.stride + d);
      }
      transpose(rows, reinterpret_cast<std::byte*>(to), kPairs * sizeof(Bf16));
    }
  }
}

void pack_values(const HalfAttentionTask& task, const Room& room) {
  // Words of two rows in turn: the first 16 columns, then the second 16.
  alignas(64) std::uint16_t first[32];
  alignas(64) std::uint16_t second[32];
  for (std::size_t i = 0; i < kTile; ++i) {
    first[2 * i] = static_cast<std::uint16_t>(i);
    first[2 * i + 1] = static_cast<std::uint16_t>(kPairs + i);
    second[2 * i] = static_cast<std::uint16_t>(kTile + i);
    second[2 * i + 1] = static_cast<std::uint16_t>(kPairs + kTile + i);
  }
  const __m512i low = _mm512_load_si512(first);
  const __m512i high = _mm512_load_si512(second);
  constexpr std::size_t kTileWords = kTileBytes / sizeof(Bf16);
  for (std::size_t key = 0; key < room.keys; key += 2) {
    Bf16* row = room.packed_values + key / kPairs * (room.depth / kTile) * kTileWords +
                key % kPairs / 2 * kPairs;
    for (std::size_t d = 0; d < room.depth; d += kPairs) {
      const __mmask32 mask = columns_left(task.head_size, d);
      const bool even = key < task.keys;
      const bool odd = key + 1 < task.keys;
      const __m512i a =
          _mm512_maskz_loadu_epi16(even ? mask : 0, task.v + (even ? key : 0) * task.stride + d);
      const __m512i b =
          _mm512_maskz_loadu_epi16(odd ? mask : 0, task.v + (odd ? key + 1 : 0) * task.stride + d);
      Bf16* to = row + d / kTile * kTileWords;
      _mm512_store_si512(to, _mm512_permutex2var_epi16(a, low, b));
      _mm512_store_si512(to + kTileWords, _mm512_permutex2var_epi16(a, high, b));
    }
  }
}

// What a tile is loaded over is set to zero first: a load waits for what it replaces (gemm_amx.cc).
BREAKEVEN_INLINE void zero_operands() {
  zero_tile<4>();
  zero_tile<5>();
  zero_tile<6>();
  zero_tile<7>();
}

// scores[RowTiles * 16, keys] = q k^T for heads of 64: the queries stay in tiles 4-7, so that a
// product needs half a load. Tiles 0 and 1 are sums, 2 and 3 keys.
template <int RowTiles>
void multiply_scores_of_64(const HalfAttentionTask& task, const Room& room, std::size_t query) {
  const Bf16* q = task.q + query * task.stride;
  const std::size_t q_bytes = task.stride * sizeof(Bf16);
  const std::size_t score_bytes = room.keys * sizeof(float);
  const auto* keys = reinterpret_cast<const std::byte*>(room.packed_keys);
  load_tile<4>(q, q_bytes);
  load_tile<5>(q + kPairs, q_bytes);
  if constexpr (RowTiles == 2) {
    load_tile<6>(q + kTile * task.stride, q_bytes);
    load_tile<7>(q + kTile * task.stride + kPairs, q_bytes);
  }
  float* to = room.scores;
  for (std::size_t key = 0; key < room.keys; key += kTile, keys += 2 * kTileBytes, to += kTile) {
    zero_tile<2>();
    zero_tile<3>();
    load_tile<2>(keys, 64);
    load_tile<3>(keys + kTileBytes, 64);
    zero_tile<0>();
    multiply_bf16<0, 4, 2>();
    if constexpr (RowTiles == 2) {
      zero_tile<1>();
      multiply_bf16<1, 6, 2>();
    }
    multiply_bf16<0, 5, 3>();
    if constexpr (RowTiles == 2) multiply_bf16<1, 7, 3>();
    store_tile<0>(to, score_bytes);
    if constexpr (RowTiles == 2) store_tile<1>(to + kTile * room.keys, score_bytes);
  }
}

// Products of RowTiles x 2 tiles: 0-3 are sums, 4 and 5 rows, 6 and 7 columns.
template <int RowTiles>
BREAKEVEN_INLINE void zero_sums() {
  zero_tile<0>();
  zero_tile<1>();
  if constexpr (RowTiles == 2) {
    zero_tile<2>();
    zero_tile<3>();
  }
}
// `stride`: elements from row to row.
template <int RowTiles>
BREAKEVEN_INLINE void add_products(const Bf16* rows, std::size_t stride, const std::byte* first,
                                   const std::byte* second) {
  zero_operands();
  load_tile<4>(rows, stride * sizeof(Bf16));
  load_tile<6>(first, 64);
  load_tile<7>(second, 64);
  if constexpr (RowTiles == 2) load_tile<5>(rows + kTile * stride, stride * sizeof(Bf16));
  multiply_bf16<0, 4, 6>();
  multiply_bf16<1, 4, 7>();
  if constexpr (RowTiles == 2) {
    multiply_bf16<2, 5, 6>();
    multiply_bf16<3, 5, 7>();
  }
}
template <int RowTiles>
BREAKEVEN_INLINE void store_sums(float* to, std::size_t stride) {
  store_tile<0>(to, stride * sizeof(float));
  store_tile<1>(to + kTile, stride * sizeof(float));
  if constexpr (RowTiles == 2) {
    store_tile<2>(to + kTile * stride, stride * sizeof(float));
    store_tile<3>(to + kTile * stride + kTile, stride * sizeof(float));
  }
}

// scores[RowTiles * 16, keys] = q k^T
template <int RowTiles>
void multiply_scores(const HalfAttentionTask& task, const Room& room, std::size_t query) {
  if (room.depth == 2 * kPairs) return multiply_scores_of_64<RowTiles>(task, room, query);
  const Bf16* q = task.q + query * task.stride;
  const auto* packed = reinterpret_cast<const std::byte*>(room.packed_keys);
  const std::size_t block = room.depth / kPairs * kTileBytes;  // 16 keys
  for (std::size_t key = 0; key < room.keys; key += kPairs) {
    const std::byte* keys = packed + key / kTile * block;
    zero_sums<RowTiles>();
    for (std::size_t d = 0; d < room.depth; d += kPairs, keys += kTileBytes) {
      add_products<RowTiles>(q + d, task.stride, keys, keys + block);
    }
    store_sums<RowTiles>(room.scores + key, room.keys);
  }
}

// to[32, columns] = rows * the distances' tiles
void multiply_distances(const Bf16* rows, const HalfAttentionTask& task, const Room& room,
                        const std::byte* tiles, const DistanceTerms::Columns& columns, float* to) {
  tiles += columns.first * room.depth * sizeof(Bf16);
  for (std::size_t c = 0; c < columns.count; c += kPairs) {
    zero_sums<2>();
    for (std::size_t d = 0; d < room.depth; d += kPairs, tiles += 2 * kTileBytes) {
      add_products<2>(rows + d, task.stride, tiles, tiles + kTileBytes);
    }
    store_sums<2>(to + c, room.met.count);
  }
}

// scores[query][key] += q pk[row(query - key)] + pq[row(query - key)] k
void add_distances(const HalfAttentionTask& task, const Room& room, std::size_t query,
                   std::size_t rows) {
  const DistanceTerms::Columns met = task.distances.met(task.keys, query, query + rows);
  const std::size_t width = room.met.count;
  multiply_distances(task.q + query * task.stride, task, room, task.distances.keys, met,
                     room.by_query + (met.first - room.met.first));
  alignas(64) std::int32_t lines[kTile];
  for (std::size_t i = 0; i < kTile; ++i) lines[i] = static_cast<std::int32_t>(i * width);
  const __m512i line = _mm512_load_si512(lines);
  const auto base = static_cast<std::int32_t>(room.met.first);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::int32_t* at = task.distances.rows - (query + r);
    const float* by_query = room.by_query + r * width;
    float* scores = room.scores + r * room.keys;
    std::size_t c = 0;
    for (; c + kTile <= task.keys; c += kTile) {
      const __m512i index = _mm512_sub_epi32(_mm512_loadu_si512(at + c), _mm512_set1_epi32(base));
      const __m512 sum = _mm512_add_ps(
          _mm512_i32gather_ps(index, by_query, 4),
          _mm512_i32gather_ps(_mm512_add_epi32(index, line), room.by_key + c * width, 4));
      _mm512_store_ps(scores + c, _mm512_add_ps(_mm512_load_ps(scores + c), sum));
    }
    for (; c < task.keys; ++c) {
      const std::int32_t index = at[c] - base;
      scores[c] += by_query[index] + room.by_key[c * width + static_cast<std::size_t>(index)];
    }
  }
}

// 2^x to 8e-5, which the rounding to bf16 (2e-3) hides.
inline __m512 exp2(__m512 x) {
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_set1_ps(0.0551716685295105F);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.2426111251115799F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.6932609677314758F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.9999280571937561F));
  return _mm512_scalef_ps(p, whole);
}

// The sum or maximum over all lanes, in every lane.
template <class Combine>
BREAKEVEN_INLINE __m512 across(__m512 x, const Combine& combine) {
  x = combine(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  x = combine(x, _mm512_shuffle_f32x4(x, x, 0xB1));
  x = combine(x, _mm512_permute_ps(x, 0x4E));
  return combine(x, _mm512_permute_ps(x, 0xB1));
}
struct Most {
  BREAKEVEN_INLINE __m512 operator()(__m512 a, __m512 b) const { return _mm512_max_ps(a, b); }
};
struct Sum {
  BREAKEVEN_INLINE __m512 operator()(__m512 a, __m512 b) const { return _mm512_add_ps(a, b); }
};

// Unnormalised shares of kRowsTogether rows as bf16, and 1 / their sums. Rows take turns because
// maximum, exponentials and sum of one wait for each other. `query`: of the first row.
constexpr std::size_t kRowsTogether = 4;
inline void share_rows(const HalfAttentionTask& task, const Room& room, std::size_t row,
                       std::size_t query, float* inverse) {
  float* scores = room.scores + row * room.keys;
  Bf16* shares = room.shares + row * room.keys;
  const float factor = task.scale * 1.4426950408889634F;
  const __m512 scale = _mm512_set1_ps(factor);
  __m512 shift[kRowsTogether];
  __m512 total[kRowsTogether];
  for (std::size_t r = 0; r < kRowsTogether; ++r) {
    const auto seen = task.seen(query + r);
    // Of a query that sees none all scores are alike, for a finite softmax that counts nothing.
    const float unseen = seen.begin < seen.end ? kMasked : 0.0F;
    float* const of_row = scores + r * room.keys;
    for (std::size_t c = 0; c < seen.begin && c < room.keys; ++c) of_row[c] = unseen;
    for (std::size_t c = seen.end; c < room.keys; ++c) of_row[c] = unseen;
    shift[r] = _mm512_set1_ps(kMasked);
    total[r] = _mm512_setzero_ps();
  }
  for (std::size_t c = 0; c < room.keys; c += kTile) {
    for (std::size_t r = 0; r < kRowsTogether; ++r) {
      shift[r] = _mm512_max_ps(shift[r], _mm512_load_ps(scores + r * room.keys + c));
    }
  }
  for (std::size_t r = 0; r < kRowsTogether; ++r) {
    shift[r] = _mm512_mul_ps(across(shift[r], Most()), scale);
  }
  for (std::size_t c = 0; c < room.keys; c += kPairs) {
    for (std::size_t r = 0; r < kRowsTogether; ++r) {
      const float* from = scores + r * room.keys + c;
      const __m512 a = exp2(_mm512_fmsub_ps(_mm512_load_ps(from), scale, shift[r]));
      const __m512 b = exp2(_mm512_fmsub_ps(_mm512_load_ps(from + kTile), scale, shift[r]));
      total[r] = _mm512_add_ps(total[r], _mm512_add_ps(a, b));
      const __m512bh both = _mm512_cvtne2ps_pbh(b, a);
      _mm512_store_si512(shares + r * room.keys + c, reinterpret_cast<const __m512i&>(both));
    }
  }
  for (std::size_t r = 0; r < kRowsTogether; ++r) {
    const auto seen = task.seen(query + r);
    inverse[r] = seen.begin < seen.end ? 1.0F / _mm512_cvtss_f32(across(total[r], Sum())) : 0.0F;
  }
}

// context[RowTiles * 16, depth] = shares v
template <int RowTiles>
void multiply_values(const Room& room) {
  const std::size_t block = room.depth / kTile * kTileBytes;  // 32 keys
  for (std::size_t d = 0; d < room.depth; d += kPairs) {
    const std::byte* values =
        reinterpret_cast<const std::byte*>(room.packed_values) + d / kTile * kTileBytes;
    zero_sums<RowTiles>();
    for (std::size_t key = 0; key < room.keys; key += kPairs, values += block) {
      add_products<RowTiles>(room.shares + key, room.keys, values, values + kTileBytes);
    }
    store_sums<RowTiles>(room.context + d, room.depth);
  }
}

inline void store_context(const HalfAttentionTask& task, const Room& room, std::size_t row,
                          float inverse, std::size_t query) {
  const __m512 factor = _mm512_set1_ps(inverse);
  const float* from = room.context + row * room.depth;
  Bf16* to = task.ctx + query * task.ctx_stride;
  for (std::size_t d = 0; d < room.depth; d += kPairs) {
    const __m512 a = _mm512_mul_ps(_mm512_load_ps(from + d), factor);
    const __m512 b = _mm512_mul_ps(_mm512_load_ps(from + d + 16), factor);
    const __m512bh both = _mm512_cvtne2ps_pbh(b, a);
    _mm512_mask_storeu_epi16(to + d, columns_left(task.head_size, d),
                             reinterpret_cast<const __m512i&>(both));
  }
}

}  // namespace

void attention(const HalfAttentionTask& task) {
  const Room room(task);
  pack_keys(task, room);
  pack_values(task, room);
  load_config();
  if (room.met.count > 0) {
    for (std::size_t key = 0; key < task.keys; key += kQueries) {
      multiply_distances(task.k + key * task.stride, task, room, task.distances.queries, room.met,
                         room.by_key + key * room.met.count);
    }
  }
  for (std::size_t query = task.query_begin; query < task.query_end; query += kQueries) {
    const std::size_t left = task.query_end - query;
    const std::size_t rows = left < kQueries ? left : kQueries;
    float inverse[kQueries];
    if (rows > kTile) {
      multiply_scores<2>(task, room, query);
    } else {
      multiply_scores<1>(task, room, query);
    }
    if (room.met.count > 0) add_distances(task, room, query, rows);
    // Rows after the last one hold scores of whatever follows, which nobody reads.
    for (std::size_t r = 0; r < rows; r += kRowsTogether) {
      share_rows(task, room, r, query + r, inverse + r);
    }
    if (rows > kTile) {
      multiply_values<2>(room);
    } else {
      multiply_values<1>(room);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      store_context(task, room, r, inverse[r], query + r);
    }
  }
}

void release() {
  release_tiles();
}

}  // namespace breakeven::ops::cpu::BREAKEVEN_TILES_NAMESPACE

#include "ops/cpu/amx_end.inc"
