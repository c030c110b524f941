// Attention of one head on vectors, from fp32 or from bf16. Keys and values are packed like weights
// of the own GEMMs: the copies are small beside S^2 work. Each row of queries is computed alike,
// whichever rows share its block.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_attention.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "ops/cpu/kernels_products.inc"

HWY_BEFORE_NAMESPACE();
namespace breakeven::ops::cpu::HWY_NAMESPACE {
namespace {

#if HWY_TARGET != HWY_AVX2
#include "ops/cpu/transpose_avx512.inc"
#endif

// Query rows that are computed together: whole blocks of sums, and their scores stay in L1.
constexpr std::size_t kQueries = kWide ? 14 : 12;
static_assert(kQueries <= kQueryRows);
// Of them, rows whose softmax takes turns, because maximum, exponentials and sum of one row wait
// for each other.
constexpr std::size_t kInTurns = kWide ? 7 : 4;
constexpr float kMasked = -1.0e30F;

template <class Element>
constexpr std::size_t kNumbers = sizeof(Dword) / sizeof(Element);

// Where things lie in one task's scratch memory; lengths in dwords.
template <class Element>
struct Room {
  std::size_t keys, depth;      // K as [keys, depth]: whole panels, whole turns of the product loop
  std::size_t summed, columns;  // V as [columns, summed], likewise
  float *key_panels, *value_panels;
  float* queries;   // [kQueries, depth]
  float* scores;    // [kQueries, keys]
  Element* shares;  // [kQueries, keys]; of fp32 the scores' memory
  float* context;   // [kQueries, columns]
  explicit Room(const AttentionTaskOf<Element>& task)
      : keys(padded(task.keys, kPanel)),
        depth(padded(task.head_size, kUnroll * kNumbers<Element>) / kNumbers<Element>),
        summed(padded(task.keys, kUnroll * kNumbers<Element>) / kNumbers<Element>),
        columns(padded(task.head_size, kPanel)),
        key_panels(reinterpret_cast<float*>(task.scratch)),
        value_panels(key_panels + keys * depth),
        queries(value_panels + summed * columns),
        scores(queries + padded(kQueries * depth)) {
    float* behind = scores + kQueries * keys;
    shares = reinterpret_cast<Element*>(kNumbers<Element> == 1 ? scores : behind);
    context = kNumbers<Element> == 1 ? behind : behind + kQueries * keys / kNumbers<Element>;
  }
};

// Number i of a row, or 0 where the row or the number does not exist.
template <class Element>
HWY_INLINE Element number_of(const Element* row, bool real, std::size_t i, std::size_t count) {
  return real && i < count ? row[i] : Element{0};
}

// 32 keys, whatever the head's size: dword d of each, one after the other.
template <class Element>
HWY_INLINE void pack_key_panel(const AttentionTaskOf<Element>& task, std::size_t first,
                               std::size_t depth, Element* to) {
  for (std::size_t d = 0; d < depth; ++d) {
    for (std::size_t j = 0; j < kPanel; ++j) {
      const bool real = first + j < task.keys;
      const Element* row = task.k + (real ? first + j : 0) * task.stride;
      for (std::size_t n = 0; n < kNumbers<Element>; ++n) {
        *to++ = number_of(row, real, d * kNumbers<Element> + n, task.head_size);
      }
    }
  }
}

template <class Element>
HWY_INLINE void pack_keys(const AttentionTaskOf<Element>& task, const Room<Element>& room) {
  float* to = room.key_panels;
  for (std::size_t key = 0; key < room.keys; key += kPanel, to += kPanel * room.depth) {
#if HWY_TARGET != HWY_AVX2
    if (room.depth % 16 == 0 && room.depth * kNumbers<Element> == task.head_size) {
      for (std::size_t half = 0; half < kPanel; half += 16) {
        for (std::size_t d = 0; d < room.depth; d += 16) {
          __m512i rows[16];
          for (std::size_t j = 0; j < 16; ++j) {
            const bool real = key + half + j < task.keys;
            const Element* row = task.k + (real ? key + half + j : 0) * task.stride;
            rows[j] =
                real ? _mm512_loadu_si512(row + d * kNumbers<Element>) : _mm512_setzero_si512();
          }
          transpose(rows, reinterpret_cast<std::byte*>(to + d * kPanel + half),
                    kPanel * sizeof(float));
        }
      }
      continue;
    }
#endif
    pack_key_panel(task, key, room.depth, reinterpret_cast<Element*>(to));
  }
}

// A line of 32 dwords: of each of `columns` columns a number of each row from `row` on.
template <class Element>
HWY_INLINE void pack_value_line(const AttentionTaskOf<Element>& task, std::size_t row,
                                std::size_t column, std::size_t columns, Element* to) {
  for (std::size_t c = 0; c < kPanel; ++c) {
    for (std::size_t n = 0; n < kNumbers<Element>; ++n) {
      const bool real = row + n < task.keys;
      *to++ = number_of(task.v + (real ? row + n : 0) * task.stride + column, real, c, columns);
    }
  }
}

// The same of 32 columns that exist.
HWY_INLINE void pack_full_line(const AttentionTask& task, std::size_t row, std::size_t column,
                               float* to) {
  if (row < task.keys) {
    std::memcpy(to, task.v + row * task.stride + column, kPanel * sizeof(float));
  } else {
    std::memset(to, 0, kPanel * sizeof(float));
  }
}
#if HWY_TARGET != HWY_AVX2
HWY_INLINE void pack_full_line(const HalfAttentionTask& task, std::size_t row, std::size_t column,
                               Bf16* to) {
  // Words of two rows in turn.
  alignas(64) static constexpr std::uint16_t kLow[] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                       37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                       11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  alignas(64) static constexpr std::uint16_t kHigh[] = {16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21,
                                                        53, 22, 54, 23, 55, 24, 56, 25, 57, 26, 58,
                                                        27, 59, 28, 60, 29, 61, 30, 62, 31, 63};
  const Bf16* from = task.v + row * task.stride + column;
  const __m512i zero = _mm512_setzero_si512();
  const __m512i a = row < task.keys ? _mm512_loadu_si512(from) : zero;
  const __m512i b = row + 1 < task.keys ? _mm512_loadu_si512(from + task.stride) : zero;
  _mm512_store_si512(to, _mm512_permutex2var_epi16(a, _mm512_load_si512(kLow), b));
  _mm512_store_si512(to + 32, _mm512_permutex2var_epi16(a, _mm512_load_si512(kHigh), b));
}
#endif

template <class Element>
HWY_INLINE void pack_values(const AttentionTaskOf<Element>& task, const Room<Element>& room) {
  float* to = room.value_panels;
  for (std::size_t column = 0; column < room.columns; column += kPanel) {
    const std::size_t left = task.head_size - column;
    for (std::size_t j = 0; j < room.summed; ++j, to += kPanel) {
      auto* line = reinterpret_cast<Element*>(to);
      if (left >= kPanel) {
        pack_full_line(task, j * kNumbers<Element>, column, line);
      } else {
        pack_value_line(task, j * kNumbers<Element>, column, left, line);
      }
    }
  }
}

struct QueryRows {
  const Dword* at;
  std::size_t stride;  // dwords
};

// Rows of queries (or of keys) whose width is whole turns of the product loop, and whose dwords are
// whole.
template <class Element>
HWY_INLINE QueryRows query_rows(const AttentionTaskOf<Element>& task, const Room<Element>& room,
                                const Element* from, std::size_t rows) {
  constexpr std::size_t kEach = kNumbers<Element>;
  if (room.depth * kEach == task.head_size && task.stride % kEach == 0) {
    return {reinterpret_cast<const Dword*>(from), task.stride / kEach};
  }
  for (std::size_t r = 0; r < rows; ++r) {
    auto* to = reinterpret_cast<Element*>(room.queries + r * room.depth);
    for (std::size_t d = 0; d < room.depth * kEach; ++d) {
      to[d] = number_of(from + r * task.stride, true, d, task.head_size);
    }
  }
  return {room.queries, room.depth};
}

// out[rows, panels * 32] = in[rows, depth] * panels
template <class Product>
HWY_INLINE void multiply_rows(const QueryRows& in, std::size_t rows, const float* panels,
                              std::size_t depth, std::size_t count, float* out,
                              std::size_t stride) {
  const std::size_t blocks = (rows + Product::kBlockRows - 1) / Product::kBlockRows;
  for (std::size_t panel = 0; panel < count; ++panel) {
    const float* at = panels + panel * depth * kPanel;
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t first = block * rows / blocks;
      const Block multiply = AllBlocks<Product>::kTable[(block + 1) * rows / blocks - first - 1];
      for (std::size_t c = 0; c < kPanel; c += kColumns) {
        Ahead none{reinterpret_cast<const std::byte*>(at), 0};
        multiply(in.at + first * in.stride, in.stride, at + c, depth,
                 out + first * stride + panel * kPanel + c, stride, none);
      }
    }
  }
}

// Two vectors as fp32 or rounded to bf16.
template <class Element>
HWY_INLINE void store_pair(const VF (&values)[kVectors], Element* to) {
  if constexpr (kNumbers<Element> == 2) {
    store_halves<true>(values, to);
  } else {
    for (std::size_t v = 0; v < kVectors; ++v) hn::StoreU(values[v], DF(), to + v * kLanes);
  }
}

// Shares of Rows rows, still to be divided by their sums, and 1 / those. Zeros for keys that the
// query does not see. `query`: of the first row.
template <std::size_t Rows, class Element>
HWY_INLINE void share_rows(const AttentionTaskOf<Element>& task, const Room<Element>& room,
                           std::size_t row, std::size_t query, float* inverse) {
  const DF d;
  float* scores = room.scores + row * room.keys;
  Element* shares = room.shares + row * room.keys;
  const VF factor = hn::Set(d, task.scale * 1.4426950408889634F);
  VF shift[Rows];
  VF total[Rows];
  for (std::size_t r = 0; r < Rows; ++r) {
    const auto seen = task.seen(query + r);
    // Of a query that sees none all scores are alike, for a finite softmax that counts nothing.
    const float unseen = seen.begin < seen.end ? kMasked : 0.0F;
    float* const of_row = scores + r * room.keys;
    for (std::size_t c = 0; c < std::min(seen.begin, room.keys); ++c) of_row[c] = unseen;
    for (std::size_t c = seen.end; c < room.keys; ++c) of_row[c] = unseen;
    shift[r] = hn::Set(d, kMasked);
    total[r] = hn::Zero(d);
  }
  for (std::size_t c = 0; c < room.keys; c += kLanes) {
    for (std::size_t r = 0; r < Rows; ++r) {
      shift[r] = hn::Max(shift[r], hn::Load(d, scores + r * room.keys + c));
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) shift[r] = hn::Mul(hn::MaxOfLanes(d, shift[r]), factor);
  for (std::size_t c = 0; c < room.keys; c += kColumns) {
    for (std::size_t r = 0; r < Rows; ++r) {
      const std::size_t at = r * room.keys + c;
      VF shared[kVectors];
      for (std::size_t v = 0; v < kVectors; ++v) {
        const VF score = hn::Load(d, scores + at + v * kLanes);
        const VF power = hn::MulSub(score, factor, shift[r]);
        shared[v] = kNumbers<Element> == 1 ? exp2(power) : exp2_short(power);
        total[r] = hn::Add(total[r], shared[v]);
      }
      store_pair(shared, shares + at);
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    const auto seen = task.seen(query + r);
    inverse[r] = seen.begin < seen.end ? 1.0F / hn::GetLane(hn::SumOfLanes(d, total[r])) : 0.0F;
  }
}

template <class Element>
HWY_INLINE void store_row(const float* from, float factor, std::size_t count, Element* to) {
  const VF scale = hn::Set(DF(), factor);
  for (std::size_t i = 0; i < count; i += kColumns) {
    VF values[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) {
      values[v] = hn::Mul(hn::Load(DF(), from + i + v * kLanes), scale);
    }
    if (i + kColumns <= count) {
      store_pair(values, to + i);
    } else {
      HWY_ALIGN Element rest[kColumns];
      store_pair(values, rest);
      std::memcpy(to + i, rest, (count - i) * sizeof(Element));
    }
  }
}

// Products with the distances that a task meets, from row `first` of their table on: of all keys,
// and of the queries that are computed together.
struct Distances {
  std::size_t first = 0;
  std::size_t width = 0;
  float* by_query = nullptr;  // [kQueries, width]
  float* by_key = nullptr;    // [keys, width]
};
static_assert(kDepthStep % kUnroll == 0);

HWY_INLINE const float* floats(const std::byte* panels) {
  return reinterpret_cast<const float*>(panels);
}

HWY_NOINLINE Distances multiply_keys(const AttentionTask& task, const Room<float>& room) {
  Distances distances;
  const auto met = task.distances.met(task.keys, task.query_begin, task.query_end);
  distances.first = met.first;
  distances.width = met.count;
  distances.by_query = room.context + kQueries * room.columns;
  distances.by_key = distances.by_query + kQueries * distances.width;
  for (std::size_t key = 0; key < task.keys; key += kQueries) {
    const std::size_t rows = std::min(kQueries, task.keys - key);
    multiply_rows<FloatProduct>(query_rows(task, room, task.k + key * task.stride, rows), rows,
                                floats(task.distances.queries) + distances.first * room.depth,
                                room.depth, distances.width / kPanel,
                                distances.by_key + key * distances.width, distances.width);
  }
  return distances;
}

// scores[query][key] += q pk[row(query - key)] + pq[row(query - key)] k
HWY_NOINLINE void add_distances(const AttentionTask& task, const Room<float>& room,
                                const Distances& distances, std::size_t query, std::size_t rows) {
  const auto met = task.distances.met(task.keys, query, query + rows);
  const std::size_t width = distances.width;
  multiply_rows<FloatProduct>(query_rows(task, room, task.q + query * task.stride, rows), rows,
                              floats(task.distances.keys) + met.first * room.depth, room.depth,
                              met.count / kPanel,
                              distances.by_query + (met.first - distances.first), width);
  const DF d;
  const DI di;
  const auto base = static_cast<std::int32_t>(distances.first);
  const VI lines = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<std::int32_t>(width)));
  for (std::size_t r = 0; r < rows; ++r) {
    const std::int32_t* at = task.distances.rows - (query + r);
    const float* by_query = distances.by_query + r * width;
    float* scores = room.scores + r * room.keys;
    std::size_t c = 0;
    for (; c + kLanes <= task.keys; c += kLanes) {
      const VI index = hn::Sub(hn::LoadU(di, at + c), hn::Set(di, base));
      const VF sum =
          hn::Add(hn::GatherIndex(d, by_query, index),
                  hn::GatherIndex(d, distances.by_key + c * width, hn::Add(index, lines)));
      hn::Store(hn::Add(hn::Load(d, scores + c), sum), d, scores + c);
    }
    for (; c < task.keys; ++c) {
      const std::int32_t index = at[c] - base;
      scores[c] += by_query[index] + distances.by_key[c * width + static_cast<std::size_t>(index)];
    }
  }
}

template <class Product, class Element>
HWY_INLINE void attend(const AttentionTaskOf<Element>& task) {
  const Room<Element> room(task);
  pack_keys(task, room);
  pack_values(task, room);
  Distances distances;
  if constexpr (kNumbers<Element> == 1) {
    if (task.distances.rows != nullptr) distances = multiply_keys(task, room);
  }
  for (std::size_t q = task.query_begin; q < task.query_end; q += kQueries) {
    const std::size_t left = task.query_end - q;
    const std::size_t rows = left < kQueries ? left : kQueries;
    multiply_rows<Product>(query_rows(task, room, task.q + q * task.stride, rows), rows,
                           room.key_panels, room.depth, room.keys / kPanel, room.scores, room.keys);
    if constexpr (kNumbers<Element> == 1) {
      if (distances.width > 0) add_distances(task, room, distances, q, rows);
    }
    float inverse[kQueries];
    std::size_t r = 0;
    for (; r + kInTurns <= rows; r += kInTurns) {
      share_rows<kInTurns>(task, room, r, q + r, inverse + r);
    }
    for (; r < rows; ++r) share_rows<1>(task, room, r, q + r, inverse + r);
    multiply_rows<Product>(
        {reinterpret_cast<const Dword*>(room.shares), room.keys / kNumbers<Element>}, rows,
        room.value_panels, room.summed, room.columns / kPanel, room.context, room.columns);
    for (r = 0; r < rows; ++r) {
      store_row(room.context + r * room.columns, inverse[r], task.head_size,
                task.ctx + (q + r) * task.ctx_stride);
    }
  }
}

void attention(const AttentionTask& task) {
  attend<FloatProduct>(task);
}

// As products of fp32: of bf16 they would be faster, but distances are packed once.
void attention_widened(const HalfAttentionTask& task) {
  const std::size_t size = task.head_size;
  const std::size_t rows = std::max(task.query_end, task.keys);
  AttentionTask wide;
  wide.stride = wide.ctx_stride = wide.head_size = size;
  wide.query_begin = task.query_begin;
  wide.query_end = task.query_end;
  wide.keys = task.keys;
  wide.window = task.window;
  wide.scale = task.scale;
  wide.distances = task.distances;
  auto* memory = reinterpret_cast<float*>(task.scratch);
  const std::size_t each = padded(rows * size);
  const auto widen = [&](const Bf16* from, std::size_t begin, std::size_t end, float* to) {
    for (std::size_t r = begin; r < end; ++r) {
      std::transform(from + r * task.stride, from + r * task.stride + size, to + r * size,
                     from_bf16);
    }
    return to;
  };
  wide.q = widen(task.q, task.query_begin, task.query_end, memory);
  wide.k = widen(task.k, 0, task.keys, memory + each);
  wide.v = widen(task.v, 0, task.keys, memory + 2 * each);
  wide.ctx = memory;  // over the queries, which are done by then
  wide.scratch = reinterpret_cast<std::byte*>(memory + 3 * each);
  attention(wide);
  for (std::size_t r = task.query_begin; r < task.query_end; ++r) {
    std::transform(memory + r * size, memory + (r + 1) * size, task.ctx + r * task.ctx_stride,
                   to_bf16);
  }
}

#if HWY_TARGET != HWY_AVX2
void attention_bf16(const HalfAttentionTask& task) {
  attend<PairProduct>(task);
}
#endif

}  // namespace

void fill_attention_kernels(Kernels& table) {
  table.attention = attention;
  table.attention_widened = attention_widened;
#if HWY_TARGET != HWY_AVX2
  table.attention_bf16 = attention_bf16;
#endif
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
