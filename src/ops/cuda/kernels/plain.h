// Plain twins of the fast kernels: any shape, one value at a time. The fast ones are compared with
// them when a device is first used (self_test.h); they run wherever the fast ones do not fit.
#pragma once

#include "ops/cuda/kernels/rows.h"

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): offsets within a tile or a row
// fit 32 bits, in which a GPU is faster.
namespace breakeven::ops::cuda {

// Every twin holds the kernel that it stands for, and reads its parameters from there.
namespace detail {

// Mean and 1/deviation of one row whose values `at(column)` gives; two passes, as the reference.
template <class At>
BREAKEVEN_DEVICE void plain_moments(const At& at, unsigned hidden, float eps, float& mean,
                                    float& scale) {
  float sum = 0;
  for (unsigned c = 0; c < hidden; ++c) sum += at(c);
  mean = sum / static_cast<float>(hidden);
  float squares = 0;
  for (unsigned c = 0; c < hidden; ++c) {
    const float centred = at(c) - mean;
    squares += centred * centred;
  }
  scale = inverse_square_root(squares / static_cast<float>(hidden) + eps);
}

}  // namespace detail

// A thread takes a row.
template <class T, class R>
struct PlainEmbedNorm {
  static constexpr char kName[] = "plain_embed_norm";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  EmbedNorm<T, R> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows) return;
    const std::size_t hidden = fast.hidden;
    const T* word = fast.tables.word + static_cast<std::size_t>(t.load(fast.ids + index)) * hidden;
    const T* place =
        fast.tables.position + static_cast<std::size_t>(t.load(fast.places + index)) * hidden;
    const T* kind = fast.tables.token_type;
    if (kind != nullptr) kind += static_cast<std::size_t>(t.load(fast.kinds + index)) * hidden;
    const auto at = [&](unsigned c) {
      const float sum = to_float(t.load(word + c)) + to_float(t.load(place + c));
      return kind == nullptr ? sum : sum + to_float(t.load(kind + c));
    };
    float mean = 0;
    float scale = 0;
    detail::plain_moments(at, fast.hidden, fast.tables.norm.eps, mean, scale);
    for (unsigned c = 0; c < fast.hidden; ++c) {
      const float value = (at(c) - mean) * scale * t.load(fast.tables.norm.gamma + c) +
                          t.load(fast.tables.norm.beta + c);
      t.store(fast.x + index * hidden + c, from_float<T>(value));
      if (fast.residual != nullptr) {
        t.store(fast.residual + index * hidden + c, from_float<R>(value));
      }
    }
  }
};

// A thread takes a row.
template <class T, class R>
struct PlainResidualNorm {
  static constexpr char kName[] = "plain_residual_norm";
  static constexpr unsigned kThreads = 64;
  static constexpr unsigned kRowsABlock = kThreads;
  ResidualNorm<T, R> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const unsigned index = t.block_x() * kRowsABlock + t.thread();
    if (index >= fast.rows) return;
    const std::size_t row = static_cast<std::size_t>(index) * fast.hidden;
    const auto at = [&](unsigned c) {
      const float sum = to_float(t.load(fast.in + row + c)) + t.load(fast.bias + c);
      if (fast.added) return sum;
      return fast.residual == nullptr ? sum + to_float(t.load(fast.x + row + c))
                                      : sum + to_float(t.load(fast.residual + row + c));
    };
    float mean = 0;
    float scale = 0;
    detail::plain_moments(at, fast.hidden, fast.norm.eps, mean, scale);
    // In ascending order: column c is read before it is replaced, and no later one reads it again.
    for (unsigned c = 0; c < fast.hidden; ++c) {
      const float value =
          (at(c) - mean) * scale * t.load(fast.norm.gamma + c) + t.load(fast.norm.beta + c);
      t.store(fast.x + row + c, from_float<T>(value));
      if (fast.residual != nullptr) t.store(fast.residual + row + c, from_float<R>(value));
    }
  }
};

// A thread takes a value.
template <class T>
struct PlainBiasActivation {
  static constexpr char kName[] = "plain_bias_activation";
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kRowsABlock = kThreads;  // values, not rows
  BiasActivation<T> fast;

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at = static_cast<std::size_t>(t.block_x()) * kRowsABlock + t.thread();
    if (at >= static_cast<std::size_t>(fast.rows) * fast.width) return;
    const float sum = to_float(t.load(fast.values + at)) + t.load(fast.bias + at % fast.width);
    t.store(fast.values + at, from_float<T>(activate(fast.activation, sum)));
  }
};

}  // namespace breakeven::ops::cuda
// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
