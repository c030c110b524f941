// Kernels over rows: embeddings with LayerNorm, bias and residual with LayerNorm, bias with
// activation. A warp takes a row, keeps it in registers and reads and writes memory once.
//
// They need a hidden size that is a multiple of 8 and at most kWidestRow; kernels/plain.h takes the
// rest. Letters as in ops/ops.h. T: what GEMMs read and write; R: the residual stream.
#pragma once

#include "ops/cuda/kernels/access.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

inline constexpr unsigned kRowSteps = 4;
inline constexpr unsigned kRowStep = 8 * kWarp;  // columns that a warp takes at once
inline constexpr unsigned kWidestRow = kRowSteps * kRowStep;
constexpr bool row_kernels_fit(std::size_t hidden) {
  return hidden % 8 == 0 && hidden <= kWidestRow;
}

struct NormParameters {
  const float* gamma = nullptr;  // [H]
  const float* beta = nullptr;   // [H]
  float eps = 0;
};

// One row in the registers of a warp: lane l holds columns step * 256 + 8 l .. + 8.
struct RowRegisters {
  float values[kRowSteps][8];
};

// Normalises the row and stores it as T, and as R where the residual stream is kept apart.
template <class T, class R, class Thread>
BREAKEVEN_DEVICE void norm_and_store(Thread& t, RowRegisters& row, const NormParameters& norm,
                                     unsigned hidden, T* out, R* residual) {
  float sum = 0;
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    if (step * kRowStep + 8 * t.lane() >= hidden) continue;
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) sum += row.values[step][i];
  }
  const float mean = warp_sum(t, sum) / static_cast<float>(hidden);
  float squares = 0;
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    if (step * kRowStep + 8 * t.lane() >= hidden) continue;
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) {
      const float centred = row.values[step][i] - mean;
      squares += centred * centred;
    }
  }
  const float scale =
      inverse_square_root(warp_sum(t, squares) / static_cast<float>(hidden) + norm.eps);
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    const unsigned column = step * kRowStep + 8 * t.lane();
    if (column >= hidden) continue;
    float gamma[8];
    float beta[8];
    load_eight(t, norm.gamma + column, gamma);
    load_eight(t, norm.beta + column, beta);
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) {
      row.values[step][i] = (row.values[step][i] - mean) * scale * gamma[i] + beta[i];
    }
    store_eight(t, out + column, row.values[step]);
    if (residual != nullptr) store_eight(t, residual + column, row.values[step]);
  }
}

template <class T, class Thread>
BREAKEVEN_DEVICE void add_to_row(Thread& t, RowRegisters& row, const T* from, unsigned hidden) {
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    const unsigned column = step * kRowStep + 8 * t.lane();
    if (column >= hidden) continue;
    float added[8];
    load_eight(t, from + column, added);
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) row.values[step][i] += added[i];
  }
}

BREAKEVEN_DEVICE void clear(RowRegisters& row) {
  BREAKEVEN_UNROLL
  for (unsigned step = 0; step < kRowSteps; ++step) {
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) row.values[step][i] = 0;
  }
}

// What both kernels of the embedding read.
template <class T>
struct EmbeddingTables {
  const T* word = nullptr;        // [V, H]
  const T* position = nullptr;    // [P, H]
  const T* token_type = nullptr;  // [token types, H], or null
  NormParameters norm;
};

// x[row] = LN(word[id] + position[place] + type[kind])
template <class T, class R>
struct EmbedNorm {
  static constexpr char kName[] = "embed_norm";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;
  EmbeddingTables<T> tables;
  const std::int32_t* ids = nullptr;     // [rows]
  const std::int32_t* places = nullptr;  // [rows]
  const std::int32_t* kinds = nullptr;   // [rows]
  T* x = nullptr;                        // [rows, H]
  R* residual = nullptr;                 // [rows, H], or null
  unsigned rows = 0;
  unsigned hidden = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    if (index >= rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * hidden;
    const auto row_of = [&](const T* table, std::int32_t which) {
      return table + static_cast<std::size_t>(which) * hidden;
    };
    RowRegisters row;
    clear(row);
    add_to_row(t, row, row_of(tables.word, t.load(ids + index)), hidden);
    add_to_row(t, row, row_of(tables.position, t.load(places + index)), hidden);
    if (tables.token_type != nullptr) {
      add_to_row(t, row, row_of(tables.token_type, t.load(kinds + index)), hidden);
    }
    norm_and_store(t, row, tables.norm, hidden, x + at,
                   residual == nullptr ? nullptr : residual + at);
  }
};

// x[row] = LN(in[row] + bias + residual[row]); the residual stream is replaced by the result. Where
// `added`, `in` holds the residual already.
template <class T, class R>
struct ResidualNorm {
  static constexpr char kName[] = "residual_norm";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;
  const T* in = nullptr;        // [rows, H]: a GEMM's result
  const float* bias = nullptr;  // [H]: of that GEMM
  NormParameters norm;
  T* x = nullptr;         // [rows, H]; also the residual in when `residual` is null
  R* residual = nullptr;  // [rows, H], or null
  unsigned rows = 0;
  unsigned hidden = 0;
  bool added = false;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    RowRegisters row;
    if (index < rows) norm_row(t, row, static_cast<std::size_t>(index) * hidden);
  }
  // The row that begins at `at`, by a warp; it stays in `row`.
  template <class Thread>
  BREAKEVEN_DEVICE void norm_row(Thread& t, RowRegisters& row, std::size_t at) const {
    clear(row);
    add_to_row(t, row, in + at, hidden);
    add_to_row(t, row, bias, hidden);
    if (residual != nullptr) {
      add_to_row(t, row, residual + at, hidden);
    } else if (!added) {
      add_to_row(t, row, x + at, hidden);
    }
    norm_and_store(t, row, norm, hidden, x + at, residual == nullptr ? nullptr : residual + at);
  }
};

// As those two, but a block takes a row and a thread eight columns: for so few rows that a pass
// waits for latencies, not for memory. All that a row needs is loaded at once, and only then used.
inline constexpr std::size_t kRowsOfAWave = 2048;  // one wave of a large GPU

// Shared memory of the two sums over a row.
struct WideRow {
  static constexpr unsigned kThreads = kWidestRow / 8;
  static constexpr unsigned kWarps = kThreads / kWarp;
  static constexpr std::size_t kSharedBytes = 2 * kWarps * sizeof(float);
};

// The sum over the block, in every thread, added in the same order everywhere.
template <class Thread>
BREAKEVEN_DEVICE float block_sum(Thread& t, float value, float* warps) {
  value = warp_sum(t, value);
  if (t.lane() == 0) t.store(warps + t.warp(), value);
  t.sync();
  static_assert(WideRow::kWarps == 4);
  const Line line = t.load(reinterpret_cast<const Line*>(warps));
  float sum = 0;
  BREAKEVEN_UNROLL
  for (unsigned w = 0; w < WideRow::kWarps; ++w) sum += detail::bits_to_float(line.words[w]);
  return sum;
}

// Normalises the row whose columns `gather(column, eight of them)` gives.
template <class T, class R, class Thread, class Gather>
BREAKEVEN_DEVICE void norm_by_block(Thread& t, const NormParameters& norm, unsigned hidden, T* out,
                                    R* residual, const Gather& gather) {
  const unsigned column = 8 * t.thread();
  const bool inside = column < hidden;
  auto* sums = reinterpret_cast<float*>(t.shared());
  float row[8] = {};
  float gamma[8] = {};
  float beta[8] = {};
  if (inside) {
    load_eight(t, norm.gamma + column, gamma);
    load_eight(t, norm.beta + column, beta);
    gather(column, row);
  }
  float sum = 0;
  BREAKEVEN_UNROLL
  for (int i = 0; i < 8; ++i) sum += row[i];
  const float mean = block_sum(t, sum, sums) / static_cast<float>(hidden);
  float squares = 0;
  BREAKEVEN_UNROLL
  for (int i = 0; i < 8; ++i) {
    row[i] -= mean;
    squares += row[i] * row[i];
  }
  squares = block_sum(t, inside ? squares : 0.0F, sums + WideRow::kWarps);
  if (!inside) return;
  const float scale = inverse_square_root(squares / static_cast<float>(hidden) + norm.eps);
  BREAKEVEN_UNROLL
  for (int i = 0; i < 8; ++i) row[i] = row[i] * scale * gamma[i] + beta[i];
  store_eight(t, out + column, row);
  if (residual != nullptr) store_eight(t, residual + column, row);
}

// Grid: rows.
template <class T, class R>
struct WideEmbedNorm : WideRow {
  static constexpr char kName[] = "wide_embed_norm";
  EmbedNorm<T, R> narrow;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const EmbeddingTables<T>& tables = narrow.tables;
    const std::size_t hidden = narrow.hidden;
    const auto row_of = [&](const T* table, const std::int32_t* which) {
      return table + static_cast<std::size_t>(t.load(which + t.block_x())) * hidden;
    };
    const T* word = row_of(tables.word, narrow.ids);
    const T* place = row_of(tables.position, narrow.places);
    const T* kind =
        tables.token_type == nullptr ? nullptr : row_of(tables.token_type, narrow.kinds);
    const std::size_t at = t.block_x() * hidden;
    norm_by_block(t, tables.norm, narrow.hidden, narrow.x + at,
                  narrow.residual == nullptr ? nullptr : narrow.residual + at,
                  [&](unsigned column, float(&row)[8]) {
                    float second[8];
                    float third[8] = {};
                    load_eight(t, word + column, row);
                    load_eight(t, place + column, second);
                    if (kind != nullptr) load_eight(t, kind + column, third);
                    BREAKEVEN_UNROLL
                    for (int i = 0; i < 8; ++i) row[i] += second[i] + third[i];
                  });
  }
};

// Grid: rows.
template <class T, class R>
struct WideResidualNorm : WideRow {
  static constexpr char kName[] = "wide_residual_norm";
  ResidualNorm<T, R> narrow;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at = static_cast<std::size_t>(t.block_x()) * narrow.hidden;
    R* residual = narrow.residual == nullptr ? nullptr : narrow.residual + at;
    norm_by_block(t, narrow.norm, narrow.hidden, narrow.x + at, residual,
                  [&](unsigned column, float(&row)[8]) {
                    float bias[8];
                    float before[8] = {};
                    load_eight(t, narrow.in + at + column, row);
                    load_eight(t, narrow.bias + column, bias);
                    if (residual != nullptr) {
                      load_eight(t, residual + column, before);
                    } else if (!narrow.added) {
                      load_eight(t, narrow.x + at + column, before);
                    }
                    BREAKEVEN_UNROLL
                    for (int i = 0; i < 8; ++i) row[i] += bias[i] + before[i];
                  });
  }
};

// values = activation(values + bias), in place; width is a multiple of 8.
template <class T>
struct BiasActivation {
  static constexpr char kName[] = "bias_activation";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = 8 * kThreads;  // values, not rows
  T* values = nullptr;                                   // [rows, width]
  const float* bias = nullptr;                           // [width]
  Activation activation = Activation::gelu_erf;
  unsigned rows = 0;
  unsigned width = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at =
        static_cast<std::size_t>(t.block_x()) * kRowsABlock + std::size_t{8} * t.thread();
    if (at >= static_cast<std::size_t>(rows) * width) return;
    float value[8];
    float added[8];
    load_eight(t, values + at, value);
    load_eight(t, bias + at % width, added);
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) value[i] = activate_as<T>(activation, value[i] + added[i]);
    store_eight(t, values + at, value);
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
