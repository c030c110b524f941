// Kernels of encoders whose form is not BERT's (ops::EncoderForm): norms before the blocks, a gated
// FFN, rotary positions, the mean of all rows, a norm in the head. Their plain twins stand beside
// them.
//
// Where norms stand before the blocks, x is what products read and `stream` the residual stream,
// which is fp32 in every format: over many layers nothing brings it back to a norm's size.
#pragma once

#include "ops/cuda/kernels/cls.h"
#include "ops/cuda/kernels/plain.h"
#include "ops/cuda/kernels/plain_quantised.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// stream[row] += in[row] + bias, and x[row] = LN(stream[row]).
template <class T>
struct PreNorm {
  static constexpr char kName[] = "pre_norm";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;
  const T* in = nullptr;        // [rows, H]: a GEMM's result
  const float* bias = nullptr;  // [H]: of that GEMM
  NormParameters norm;
  T* x = nullptr;           // [rows, H]
  float* stream = nullptr;  // [rows, H]
  unsigned rows = 0;
  unsigned hidden = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    if (index >= rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * hidden;
    RowRegisters row;
    clear(row);
    add_to_row(t, row, in + at, hidden);
    add_to_row(t, row, bias, hidden);
    add_to_stream(t, row, stream + at, hidden);
    norm_and_store(t, row, norm, hidden, x + at, static_cast<float*>(nullptr));
  }
  // The row becomes the stream's, and the stream the row.
  template <class Thread>
  static BREAKEVEN_DEVICE void add_to_stream(Thread& t, RowRegisters& row, float* stream,
                                             unsigned hidden) {
    add_to_row(t, row, stream, hidden);
    BREAKEVEN_UNROLL
    for (unsigned step = 0; step < kRowSteps; ++step) {
      const unsigned column = step * kRowStep + 8 * t.lane();
      if (column < hidden) store_eight(t, stream + column, row.values[step]);
    }
  }
};

// The same by a block a row, where rows are few. Grid: rows.
template <class T>
struct WidePreNorm : WideRow {
  static constexpr char kName[] = "wide_pre_norm";
  PreNorm<T> narrow;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at = static_cast<std::size_t>(t.block_x()) * narrow.hidden;
    norm_by_block(t, narrow.norm, narrow.hidden, narrow.x + at, static_cast<float*>(nullptr),
                  [&](unsigned column, float(&row)[8]) {
                    float bias[8];
                    float before[8];
                    load_eight(t, narrow.in + at + column, row);
                    load_eight(t, narrow.bias + column, bias);
                    load_eight(t, narrow.stream + at + column, before);
                    BREAKEVEN_UNROLL
                    for (int i = 0; i < 8; ++i) row[i] += bias[i] + before[i];
                    store_eight(t, narrow.stream + at + column, row);
                  });
  }
};

namespace detail {

// The normalised row of `stream`, by column.
template <class Thread>
BREAKEVEN_DEVICE auto plain_norm(Thread& t, const float* stream, const NormParameters& norm,
                                 unsigned hidden) {
  float mean = 0;
  float scale = 0;
  plain_moments([&](unsigned c) { return t.load(stream + c); }, hidden, norm.eps, mean, scale);
  return [&t, stream, norm, mean, scale](unsigned c) {
    return (t.load(stream + c) - mean) * scale * t.load(norm.gamma + c) + t.load(norm.beta + c);
  };
}

}  // namespace detail

// A thread takes a row.
template <class T>
struct PlainPreNorm {
  static constexpr char kName[] = "plain_pre_norm";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  PreNorm<T> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows) return;
    const std::size_t row = static_cast<std::size_t>(index) * fast.hidden;
    float* stream = fast.stream + row;
    for (unsigned c = 0; c < fast.hidden; ++c) {
      const float sum = to_float(t.load(fast.in + row + c)) + t.load(fast.bias + c);
      t.store(stream + c, sum + t.load(stream + c));
    }
    const auto value = detail::plain_norm(t, stream, fast.norm, fast.hidden);
    for (unsigned c = 0; c < fast.hidden; ++c) t.store(fast.x + row + c, from_float<T>(value(c)));
  }
};

// As PreNorm, of sums of codes (DequantiseNorm), and x once more as codes.
template <class T, class Code>
struct DequantisePreNorm {
  static constexpr char kName[] = "dequantise_pre_norm";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kRowsABlock = kThreads / kWarp;
  DequantiseNorm<T, Code> post;
  float* stream = nullptr;  // [rows, H]

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.warp();
    if (index >= post.rows) return;
    const unsigned hidden = post.hidden;
    const std::size_t at = static_cast<std::size_t>(index) * hidden;
    RowRegisters row;
    post.sum_blocks(t, row, index, at);
    PreNorm<T>::add_to_stream(t, row, stream + at, hidden);
    norm_and_store(t, row, post.norm, hidden, post.x + at, static_cast<float*>(nullptr));
    detail::quantise_registers<Code>(t, row, hidden, post.out, at, index);
  }
};

// A thread takes a row.
template <class T, class Code>
struct PlainDequantisePreNorm {
  static constexpr char kName[] = "plain_dequantise_pre_norm";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  DequantisePreNorm<T, Code> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const DequantiseNorm<T, Code>& post = fast.post;
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= post.rows) return;
    const std::size_t at = static_cast<std::size_t>(index) * post.hidden;
    float* stream = fast.stream + at;
    for (unsigned c = 0; c < post.hidden; ++c) {
      const float sum = PlainDequantiseNorm<T, Code>{post}.blocks_sum(t, index, at, c);
      t.store(stream + c, sum + t.load(stream + c));
    }
    const auto value = detail::plain_norm(t, stream, post.norm, post.hidden);
    detail::plain_quantise<Code>(t, value, post.hidden, post.out, at, index);
    for (unsigned c = 0; c < post.hidden; ++c) t.store(post.x + at + c, from_float<T>(value(c)));
  }
};

// out = activation(left + its bias) * (right + its bias), of the halves of a row of 2 F values.
template <class T>
struct GatedActivation {
  static constexpr char kName[] = "gated_activation";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = 8 * kThreads;  // values of `out`, not rows
  const T* in = nullptr;                                 // [rows, 2 F]
  const float* bias = nullptr;                           // [2 F], or null
  T* out = nullptr;                                      // [rows, F]
  Activation activation = Activation::gelu_erf;
  unsigned rows = 0;
  unsigned width = 0;  // F, a multiple of 8

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at =
        static_cast<std::size_t>(t.block_x()) * kRowsABlock + std::size_t{8} * t.thread();
    if (at >= static_cast<std::size_t>(rows) * width) return;
    const std::size_t column = at % width;
    const T* left = in + (at / width) * 2 * width + column;
    float value[8];
    float gate[8];
    load_eight(t, left, value);
    load_eight(t, left + width, gate);
    if (bias != nullptr) {
      float added[8];
      load_eight(t, bias + column, added);
      BREAKEVEN_UNROLL
      for (int i = 0; i < 8; ++i) value[i] += added[i];
      load_eight(t, bias + width + column, added);
      BREAKEVEN_UNROLL
      for (int i = 0; i < 8; ++i) gate[i] += added[i];
    }
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) value[i] = activate_as<T>(activation, value[i]) * gate[i];
    store_eight(t, out + at, value);
  }
};

// A thread takes a value.
template <class T>
struct PlainGatedActivation {
  static constexpr char kName[] = "plain_gated_activation";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = kThreads;  // values, not rows
  GatedActivation<T> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at = static_cast<std::size_t>(t.block_x()) * kRowsABlock + t.thread();
    if (at >= static_cast<std::size_t>(fast.rows) * fast.width) return;
    const std::size_t column = at % fast.width;
    const T* left = fast.in + (at / fast.width) * 2 * fast.width + column;
    float value = to_float(t.load(left));
    float gate = to_float(t.load(left + fast.width));
    if (fast.bias != nullptr) {
      value += t.load(fast.bias + column);
      gate += t.load(fast.bias + fast.width + column);
    }
    t.store(fast.out + at, from_float<T>(activate(fast.activation, value) * gate));
  }
};

// Turns queries and keys in place, by the angles of their rows' positions.
template <class T>
struct Rotate {
  static constexpr char kName[] = "rotate";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = kThreads;  // lines of eight pairs, not rows
  T* qkv = nullptr;                                  // [rows, 3 H]
  const float* table = nullptr;                      // [positions, D]: cosines, then sines
  const std::int32_t* places = nullptr;              // [rows]
  unsigned rows = 0;
  unsigned heads = 0;
  unsigned head_size = 0;  // a multiple of 16

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    const unsigned half = head_size / 2;
    const unsigned of_a_row = 2 * heads * (half / 8);
    const unsigned row = index / of_a_row;
    if (row >= rows) return;
    const unsigned line = index % of_a_row;
    const unsigned column = 8 * (line % (half / 8));
    const float* angle =
        table + static_cast<std::size_t>(t.load(places + row)) * head_size + column;
    T* at = qkv + static_cast<std::size_t>(row) * 3 * heads * head_size +
            line / (half / 8) * head_size + column;
    float low[8];
    float high[8];
    float cosine[8];
    float sine[8];
    load_eight(t, at, low);
    load_eight(t, at + half, high);
    load_eight(t, angle, cosine);
    load_eight(t, angle + half, sine);
    BREAKEVEN_UNROLL
    for (int i = 0; i < 8; ++i) {
      const float left = low[i];
      low[i] = left * cosine[i] - high[i] * sine[i];
      high[i] = high[i] * cosine[i] + left * sine[i];
    }
    store_eight(t, at, low);
    store_eight(t, at + half, high);
  }
};

// A thread takes a pair.
template <class T>
struct PlainRotate {
  static constexpr char kName[] = "plain_rotate";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = kThreads;  // pairs, not rows
  Rotate<T> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t index = static_cast<std::size_t>(t.block_x()) * kRowsABlock + t.thread();
    const unsigned half = fast.head_size / 2;
    const unsigned of_a_row = 2 * fast.heads * half;
    const std::size_t row = index / of_a_row;
    if (row >= fast.rows) return;
    const auto pair = static_cast<unsigned>(index % of_a_row);
    const float* angle = fast.table +
                         static_cast<std::size_t>(t.load(fast.places + row)) * fast.head_size +
                         pair % half;
    T* at = fast.qkv + row * 3 * fast.heads * fast.head_size + pair / half * fast.head_size +
            pair % half;
    const float low = to_float(t.load(at));
    const float high = to_float(t.load(at + half));
    const float cosine = t.load(angle);
    const float sine = t.load(angle + half);
    t.store(at, from_float<T>(low * cosine - high * sine));
    t.store(at + half, from_float<T>(high * cosine + low * sine));
  }
};

// pooled[b] = the mean of the valid rows of sequence b. A block takes 32 columns of a sequence:
// each warp sums every eighth row, and the warps' sums are added in order. Grid: (sequences,
// columns / 32 rounded up).
template <class T>
struct MeanRows {
  static constexpr char kName[] = "mean_rows";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kWarps = kThreads / kWarp;
  static constexpr std::size_t kSharedBytes = kThreads * sizeof(float);
  const std::int32_t* first_row = nullptr;  // [B]
  const std::int32_t* valid = nullptr;      // [B]
  const T* x = nullptr;                     // [T, H]
  T* pooled = nullptr;                      // [B, H]
  unsigned hidden = 0;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned column = t.block_y() * kWarp + t.lane();
    const auto rows = static_cast<unsigned>(t.load(valid + t.block_x()));
    const T* from = x + static_cast<std::size_t>(t.load(first_row + t.block_x())) * hidden + column;
    float sum = 0;
    if (column < hidden) {
      for (unsigned row = t.warp(); row < rows; row += kWarps) {
        sum += to_float(t.load(from + static_cast<std::size_t>(row) * hidden));
      }
    }
    auto* sums = reinterpret_cast<float*>(t.shared());
    t.store(sums + t.thread(), sum);
    t.sync();
    if (t.warp() != 0 || column >= hidden) return;
    BREAKEVEN_UNROLL
    for (unsigned warp = 1; warp < kWarps; ++warp) sum += t.load(sums + warp * kWarp + t.lane());
    t.store(pooled + static_cast<std::size_t>(t.block_x()) * hidden + column,
            from_float<T>(sum / static_cast<float>(rows)));
  }
};

// logits[b] = classifier(LN(activation(dense[b] + bias))): `dense` is a GEMM's result. A warp takes
// a sequence and a label; the row is activated three times, which is little for so few.
template <class T>
struct NormHead {
  static constexpr char kName[] = "norm_head";
  static constexpr unsigned kThreads = 128;
  Head<T> head;
  NormParameters norm;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * (kThreads / kWarp) + t.warp();
    if (index >= head.sequences * head.labels) return;
    const unsigned hidden = head.hidden;
    const T* row = head.dense + static_cast<std::size_t>(index / head.labels) * hidden;
    const float* weights = head.weights + static_cast<std::size_t>(index % head.labels) * hidden;
    const auto over_columns = [&](const auto& term) {
      float sum = 0;
      for (unsigned c = t.lane(); c < hidden; c += kWarp) {
        sum +=
            term(c, activate(head.activation, to_float(t.load(row + c)) + t.load(head.bias + c)));
      }
      return warp_sum(t, sum);
    };
    const auto count = static_cast<float>(hidden);
    const float mean = over_columns([](unsigned, float value) { return value; }) / count;
    const float squares =
        over_columns([mean](unsigned, float value) { return (value - mean) * (value - mean); });
    const float scale = inverse_square_root(squares / count + norm.eps);
    const float sum = over_columns([&](unsigned c, float value) {
      return ((value - mean) * scale * t.load(norm.gamma + c) + t.load(norm.beta + c)) *
             t.load(weights + c);
    });
    if (t.lane() == 0)
      t.store(head.logits + index, sum + t.load(head.label_bias + index % head.labels));
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
