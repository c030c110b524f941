// The last layer's attention for row 0 of each sequence, with keys and values absorbed into the
// weights, and the head.
//
// Scores are (Wk_h^T q_h) . x_j / sqrt(D), because q . bk is the same for every key and leaves the
// softmax as it is; the context is Wv_h (sum_j p_j x_j) + bv_h. So the layer reads x twice instead
// of multiplying all of it by two matrices. The two small products a head are GEMMs of a batch.
#pragma once

#include "ops/cuda/kernels/access.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// x_cls[b] = x[first_row[b]], and the same of the residual stream. A block takes a sequence.
template <class T, class R>
struct GatherCls {
  static constexpr char kName[] = "gather_cls";
  static constexpr unsigned kThreads = 128;
  const std::int32_t* first_row = nullptr;  // [B]
  const T* x = nullptr;                     // [T, H]
  const R* residual = nullptr;              // [T, H], or null
  T* x_cls = nullptr;                       // [B, H]
  R* residual_cls = nullptr;                // [B, H], or null
  unsigned hidden = 0;

  // In lines where rows begin at 16 bytes.
  template <class Value, class Thread>
  BREAKEVEN_DEVICE void copy_row(Thread& t, const Value* from, Value* to) const {
    if (hidden % 8 == 0) {
      const unsigned lines = hidden / (sizeof(Line) / sizeof(Value));
      for (unsigned i = t.thread(); i < lines; i += kThreads) {
        t.store(reinterpret_cast<Line*>(to) + i, t.load(reinterpret_cast<const Line*>(from) + i));
      }
    } else {
      for (unsigned c = t.thread(); c < hidden; c += kThreads) t.store(to + c, t.load(from + c));
    }
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t from = static_cast<std::size_t>(t.load(first_row + t.block_x())) * hidden;
    const std::size_t to = static_cast<std::size_t>(t.block_x()) * hidden;
    copy_row(t, x + from, x_cls + to);
    if (residual != nullptr) copy_row(t, residual + from, residual_cls + to);
  }
};

template <class T>
struct ClsParameters {
  const std::int32_t* first_row = nullptr;  // [B]
  const std::int32_t* valid = nullptr;      // [B]
  const T* x = nullptr;                     // [T, H]
  const T* keys = nullptr;                  // [B, N, H]: Wk_h^T q_h
  T* mix = nullptr;                         // [B, N, H]: sum_j p_j x_j
  unsigned hidden = 0;
  unsigned heads = 0;
  unsigned longest = 0;  // rows that a sequence may have: sizes shared memory
  float scale = 0;       // 1 / sqrt(D)
};

// Grid: (sequences, heads / kHeads rounded up). Shared memory: kHeads x H keys and kHeads x longest
// scores, in fp32. H is a multiple of 8.
template <class T>
struct ClsAttention {
  static constexpr char kName[] = "cls_attention";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kWarps = kThreads / kWarp;
  static constexpr unsigned kHeads = 4;
  ClsParameters<T> p;

  static constexpr std::size_t shared_bytes(std::size_t hidden, std::size_t longest) {
    return kHeads * (hidden + longest) * sizeof(float);
  }

  // scores[h][j] = keys[h] . x[j]: a warp takes a row of x and multiplies it with all heads' keys.
  template <class Thread>
  BREAKEVEN_DEVICE void score_rows(Thread& t, const T* x, const float* keys, float* scores,
                                   unsigned valid) const {
    for (unsigned j = t.warp(); j < valid; j += kWarps) {
      float sums[kHeads] = {};
      for (unsigned c = 8 * t.lane(); c < p.hidden; c += 8 * kWarp) {
        float row[8];
        load_eight(t, x + static_cast<std::size_t>(j) * p.hidden + c, row);
        BREAKEVEN_UNROLL
        for (unsigned h = 0; h < kHeads; ++h) {
          float key[8];
          load_eight(t, keys + h * p.hidden + c, key);
          BREAKEVEN_UNROLL
          for (int i = 0; i < 8; ++i) sums[h] += row[i] * key[i];
        }
      }
      BREAKEVEN_UNROLL
      for (unsigned h = 0; h < kHeads; ++h) {
        const float sum = warp_sum(t, sums[h]);
        if (t.lane() == h) t.store(scores + h * p.longest + j, sum * p.scale);
      }
    }
  }

  // A warp takes a head: scores become shares.
  template <class Thread>
  BREAKEVEN_DEVICE void soften(Thread& t, float* scores, unsigned valid) const {
    if (t.warp() >= kHeads) return;
    float* row = scores + t.warp() * p.longest;
    float highest = minus_infinity();
    for (unsigned j = t.lane(); j < valid; j += kWarp)
      highest = largest_of(highest, t.load(row + j));
    highest = warp_max(t, highest);
    float sum = 0;
    for (unsigned j = t.lane(); j < valid; j += kWarp) {
      const float share = power_of_two((t.load(row + j) - highest) * 1.4426950408889634F);
      t.store(row + j, share);
      sum += share;
    }
    const float inverse = 1.0F / warp_sum(t, sum);
    for (unsigned j = t.lane(); j < valid; j += kWarp) t.store(row + j, t.load(row + j) * inverse);
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned b = t.block_x();
    const unsigned first_head = t.block_y() * kHeads;
    const unsigned heads = p.heads - first_head < kHeads ? p.heads - first_head : kHeads;
    const auto valid = static_cast<unsigned>(t.load(p.valid + b));
    const T* x = p.x + static_cast<std::size_t>(t.load(p.first_row + b)) * p.hidden;
    const std::size_t at = (static_cast<std::size_t>(b) * p.heads + first_head) * p.hidden;
    float* keys = reinterpret_cast<float*>(t.shared());
    float* scores = keys + kHeads * p.hidden;
    for (unsigned i = t.thread(); i < kHeads * p.hidden; i += kThreads) {
      t.store(keys + i, i < heads * p.hidden ? to_float(t.load(p.keys + at + i)) : 0.0F);
    }
    t.sync();
    score_rows(t, x, keys, scores, valid);
    t.sync();
    soften(t, scores, valid);
    t.sync();
    // A thread takes a column: a warp reads neighbours of a row of x.
    for (unsigned c = t.thread(); c < p.hidden; c += kThreads) {
      float sums[kHeads] = {};
      for (unsigned j = 0; j < valid; ++j) {
        const float value = to_float(t.load(x + static_cast<std::size_t>(j) * p.hidden + c));
        BREAKEVEN_UNROLL
        for (unsigned h = 0; h < kHeads; ++h) sums[h] += t.load(scores + h * p.longest + j) * value;
      }
      for (unsigned h = 0; h < heads; ++h) {
        t.store(p.mix + at + static_cast<std::size_t>(h) * p.hidden + c, from_float<T>(sums[h]));
      }
    }
  }
};

// The twin: a thread takes a sequence and a head; scores are computed again for every column.
template <class T>
struct PlainClsAttention {
  static constexpr char kName[] = "plain_cls_attention";
  static constexpr unsigned kThreads = 64;
  ClsParameters<T> p;
  unsigned sequences = 0;

  template <class Thread>
  BREAKEVEN_DEVICE float score(Thread& t, const T* row, const T* key) const {
    float sum = 0;
    for (unsigned c = 0; c < p.hidden; ++c)
      sum += to_float(t.load(row + c)) * to_float(t.load(key + c));
    return sum * p.scale * 1.4426950408889634F;
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kThreads + t.thread();
    if (index >= sequences * p.heads) return;
    const unsigned b = index / p.heads;
    const auto valid = static_cast<unsigned>(t.load(p.valid + b));
    const T* x = p.x + static_cast<std::size_t>(t.load(p.first_row + b)) * p.hidden;
    const T* key = p.keys + static_cast<std::size_t>(index) * p.hidden;
    T* mix = p.mix + static_cast<std::size_t>(index) * p.hidden;
    float highest = minus_infinity();
    for (unsigned j = 0; j < valid; ++j) {
      highest = largest_of(highest, score(t, x + static_cast<std::size_t>(j) * p.hidden, key));
    }
    constexpr unsigned kColumns = 32;
    for (unsigned begin = 0; begin < p.hidden; begin += kColumns) {
      const unsigned count = p.hidden - begin < kColumns ? p.hidden - begin : kColumns;
      float sums[kColumns] = {};
      float shares = 0;
      for (unsigned j = 0; j < valid; ++j) {
        const T* row = x + static_cast<std::size_t>(j) * p.hidden;
        const float share = power_of_two(score(t, row, key) - highest);
        shares += share;
        for (unsigned c = 0; c < count; ++c) sums[c] += share * to_float(t.load(row + begin + c));
      }
      for (unsigned c = 0; c < count; ++c)
        t.store(mix + begin + c, from_float<T>(sums[c] / shares));
    }
  }
};

// logits[b] = classifier(activation(dense[b] + bias)): `dense` is a GEMM's result. A warp takes a
// sequence and a label.
template <class T>
struct Head {
  static constexpr char kName[] = "head";
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kSteps = 3;
  const T* dense = nullptr;           // [B, H]
  const float* bias = nullptr;        // [H]
  const float* weights = nullptr;     // [C, H]
  const float* label_bias = nullptr;  // [C]
  float* logits = nullptr;            // [B, C]
  Activation activation = Activation::relu;
  unsigned sequences = 0;
  unsigned hidden = 0;
  unsigned labels = 0;

  // A lane's part of the sum. What 768 columns need is loaded before any of it is used: one wait.
  template <Activation A, class Thread>
  BREAKEVEN_DEVICE float part(Thread& t, const T* row, const float* weight) const {
    float sum = 0;
    if (hidden % 8 != 0) {
      for (unsigned c = t.lane(); c < hidden; c += kWarp) {
        sum += activate(A, to_float(t.load(row + c)) + t.load(bias + c)) * t.load(weight + c);
      }
      return sum;
    }
    for (unsigned begin = 8 * t.lane(); begin < hidden; begin += kSteps * 8 * kWarp) {
      float in[kSteps][8] = {};
      float added[kSteps][8] = {};
      float factor[kSteps][8] = {};
      BREAKEVEN_UNROLL
      for (unsigned step = 0; step < kSteps; ++step) {
        const unsigned c = begin + step * 8 * kWarp;
        if (c >= hidden) continue;
        load_eight(t, row + c, in[step]);
        load_eight(t, bias + c, added[step]);
        load_eight(t, weight + c, factor[step]);
      }
      BREAKEVEN_UNROLL
      for (unsigned step = 0; step < kSteps; ++step) {
        BREAKEVEN_UNROLL
        for (int i = 0; i < 8; ++i) {
          sum += activate(A, in[step][i] + added[step][i]) * factor[step][i];
        }
      }
    }
    return sum;
  }

  template <class Thread>
  BREAKEVEN_DEVICE float part(Thread& t, const T* row, const float* weight) const {
    switch (activation) {
      case Activation::gelu_erf:
        return part<Activation::gelu_erf>(t, row, weight);
      case Activation::gelu_tanh:
        return part<Activation::gelu_tanh>(t, row, weight);
      case Activation::relu:
        return part<Activation::relu>(t, row, weight);
      case Activation::tanh:
        return part<Activation::tanh>(t, row, weight);
    }
    return 0;
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * (kThreads / kWarp) + t.warp();
    if (index >= sequences * labels) return;
    const std::size_t row = static_cast<std::size_t>(index / labels) * hidden;
    const std::size_t label = index % labels;
    const float sum = warp_sum(t, part(t, dense + row, weights + label * hidden));
    if (t.lane() == 0) t.store(logits + index, sum + t.load(label_bias + label));
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
