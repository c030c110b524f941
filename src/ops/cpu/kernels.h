// The vector kernels, GEMMs and what lies around them, written once with Highway and compiled for
// AVX2 and AVX-512; kernels_for() picks the table. Every width that a kernel sees is a multiple of
// kPad and every row starts at a multiple of 64 bytes: the packed model pads its weights with
// zeros, so no kernel has a tail. Nothing here allocates.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/cpu/panels.h"
#include "ops/ops.h"

namespace breakeven::ops::cpu {

inline constexpr std::size_t kPad = 16;
constexpr std::size_t padded(std::size_t n, std::size_t step = kPad) {
  return (n + step - 1) / step * step;
}

enum class NumberFormat : std::uint8_t { none, f32, bf16, u8, split };
constexpr std::size_t bytes_of(NumberFormat format) {
  return format == NumberFormat::u8 ? 1 : format == NumberFormat::bf16 ? 2 : 4;
}
// `count` elements after `base`.
inline std::byte* offset(void* base, std::size_t count, NumberFormat format) {
  return static_cast<std::byte*>(base) + count * bytes_of(format);
}

// Where a kernel writes rows for the next GEMM, which reads them as GemmRows. u8 rows are quantised
// one by one over their own range: value = (u8 - row_zero[r]) * row_scale[r]. Split rows are
// `stride` bf16, the values rounded, and then as many of what that leaves: 4 bytes a value, like
// fp32. Nothing is written for none and f32: then GEMMs read x itself.
struct GemmInput {
  NumberFormat format = NumberFormat::none;
  void* data = nullptr;
  std::size_t stride = 0;  // elements
  float* row_scale = nullptr;
  std::int32_t* row_zero = nullptr;
};

struct NormParameters {
  const float* gamma = nullptr;  // [padded width], zero after width
  const float* beta = nullptr;
  float eps = 0;
  std::size_t width = 0;  // what mean and variance run over
};

struct EmbedTables {
  const float* word_f32 = nullptr;  // [V, padded E]; exactly one of the two word tables is set
  const Bf16* word_bf16 = nullptr;
  const float* position = nullptr;    // [P, padded E]; null: none
  const float* token_type = nullptr;  // [types, padded E]; null: none
  NormParameters norm;
};

// What relative positions add to the scores of one head (RelativeWeights).
struct DistanceTerms {
  // key(R) and query(R) as columns of weights, [padded 2 * span, padded head size]: fp32 panels, or
  // bf16 tiles for TileKernels::attention.
  const std::byte* keys = nullptr;
  const std::byte* queries = nullptr;
  const std::int32_t* rows = nullptr;  // [key - query]; null: nothing is added

  // The columns that queries query_begin .. query_end meet with all keys, in whole panels.
  struct Columns {
    std::size_t first = 0, count = 0;
  };
  Columns met(std::size_t key_count, std::size_t query_begin, std::size_t query_end) const {
    const auto lowest = static_cast<std::size_t>(rows[static_cast<std::ptrdiff_t>(key_count - 1) -
                                                      static_cast<std::ptrdiff_t>(query_begin)]);
    const auto highest = static_cast<std::size_t>(rows[1 - static_cast<std::ptrdiff_t>(query_end)]);
    const std::size_t first = lowest / kPanel * kPanel;
    return {first, (highest / kPanel + 1) * kPanel - first};
  }
};
inline constexpr std::size_t kDepthStep = 8;

// One head of some rows of one sequence, in fp32 or all in bf16. q, k, v point at the head's first
// column of the sequence's first row; ctx likewise.
template <class Element>
struct AttentionTaskOf {
  const Element* q = nullptr;
  const Element* k = nullptr;
  const Element* v = nullptr;
  std::size_t stride = 0;       // elements from row to row of q, k and v
  std::size_t ctx_stride = 0;   // likewise of ctx
  std::size_t query_begin = 0;  // rows of the sequence to answer
  std::size_t query_end = 0;
  std::size_t keys = 0;       // rows 0 .. keys-1 are attended to
  std::size_t head_size = 0;  // D
  float scale = 1;            // 1/sqrt(D), or 1/sqrt(3 D) with distances
  Element* ctx = nullptr;
  std::byte* scratch = nullptr;  // attention_scratch_bytes() of them, 64-byte aligned
  DistanceTerms distances{};     // not of attention_bf16
  std::size_t window = 0;        // only keys this far from the query, or nearer; 0: all

  // The keys begin .. end that the query of a row sees; none: its context is 0.
  struct Seen {
    std::size_t begin, end;
  };
  Seen seen(std::size_t query) const {
    if (window == 0) return {0, keys};
    return {query > window ? query - window : 0, std::min(keys, query + window + 1)};
  }
};
using AttentionTask = AttentionTaskOf<float>;
using HalfAttentionTask = AttentionTaskOf<Bf16>;
inline constexpr std::size_t kQueryRows = 14;  // handled at once at most
// `distances`: 2 * span, or 0.
std::size_t attention_scratch_bytes(std::size_t longest, std::size_t head_size,
                                    std::size_t distances = 0);

// Rotary positions of rows of queries or keys.
struct RotaryRows {
  const float* table = nullptr;             // rotary_table()
  const std::int32_t* positions = nullptr;  // of each row
  std::size_t heads = 0;                    // in a row, one behind the other
  std::size_t head_size = 0;                // even
};

struct Kernels {
  // x[row] = LN(word[ids] + position[positions] + token_type[types]) for `rows` rows; `types` may
  // be null (all 0).
  void (*embed_norm)(const EmbedTables& tables, const std::int32_t* ids,
                     const std::int32_t* positions, const std::int32_t* types, std::size_t rows,
                     float* x, std::size_t stride, const GemmInput& out);
  // x = LN(x)
  void (*norm)(const NormParameters& norm, std::size_t rows, float* x, std::size_t stride,
               const GemmInput& out);
  // x = activation(x + bias), for the head. `columns` is a multiple of kPad.
  void (*activate)(Activation activation, const float* bias, std::size_t rows, std::size_t columns,
                   float* x, std::size_t stride);
  // Rows to u8.
  void (*quantise_bf16)(const Bf16* in, std::size_t stride, std::size_t rows, std::size_t columns,
                        const GemmInput& out);
  void (*quantise_f32)(const float* in, std::size_t stride, std::size_t rows, std::size_t columns,
                       const GemmInput& out);
  // Turns the pairs of each head by the row's position, in place.
  void (*rotate_f32)(const RotaryRows& by, std::size_t rows, float* x, std::size_t stride);
  void (*rotate_bf16)(const RotaryRows& by, std::size_t rows, Bf16* x, std::size_t stride);
  // Rows to split ones.
  void (*split_f32)(const float* in, std::size_t stride, std::size_t rows, std::size_t columns,
                    const GemmInput& out);
  // c[rows, columns] = a[rows, depth] * b[depth, columns], row-major; columns a multiple of kPad.
  void (*multiply)(const float* a, std::size_t a_stride, const float* b, std::size_t b_stride,
                   float* c, std::size_t c_stride, std::size_t rows, std::size_t columns,
                   std::size_t depth);
  // The GEMMs on vectors, by the weights' format. s8 needs VNNI; small_s8 does not, and wants
  // weights of -63 .. 63. bf16 needs AVX512_BF16 and is null in the table for AVX2.
  MultiplyPanels* multiply_f32;
  MultiplyPanels* multiply_bf16;
  MultiplyPanels* multiply_s8;
  MultiplyPanels* multiply_small_s8;
  // scores[0 .. count) -> softmax(scale * scores); zeros up to the next multiple of kPad.
  void (*softmax)(float* scores, std::size_t count, float scale);
  // ctx = softmax(scale * q k^T) v. That of bf16 needs AVX512_BF16 and is null in the table for
  // AVX2.
  void (*attention)(const AttentionTask& task);
  void (*attention_bf16)(const HalfAttentionTask& task);
  // attention on rows of bf16; the scratch memory is that of distances.
  void (*attention_widened)(const HalfAttentionTask& task);
};

// The table for AVX-512, or for AVX2 with FMA. The CPU must have it.
const Kernels& kernels_for(bool avx512);

}  // namespace breakeven::ops::cpu

// Each kernel file fills its part of the table once for every instruction set; the namespaces are
// Highway's.
namespace breakeven::ops::cpu::N_AVX2 {  // NOLINT(readability-identifier-naming)
void fill_row_kernels(Kernels& table);
void fill_matrix_kernels(Kernels& table);
void fill_gemm_kernels(Kernels& table);
void fill_attention_kernels(Kernels& table);
}  // namespace breakeven::ops::cpu::N_AVX2
namespace breakeven::ops::cpu::N_AVX3 {  // NOLINT(readability-identifier-naming)
void fill_row_kernels(Kernels& table);
void fill_matrix_kernels(Kernels& table);
void fill_gemm_kernels(Kernels& table);
void fill_attention_kernels(Kernels& table);
}  // namespace breakeven::ops::cpu::N_AVX3
