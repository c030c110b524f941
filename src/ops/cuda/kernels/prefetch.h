// Brings weights to the L2 cache before the products that read them.
#pragma once

#include "ops/cuda/kernels/access.h"

namespace breakeven::ops::cuda {

// A thread asks for a chunk and does not wait for it. Nothing is computed; T only tells the
// formats' kernels apart.
template <class T>
struct Prefetch {
  static constexpr char kName[] = "prefetch";
  static constexpr unsigned kThreads = 32;
  static constexpr std::size_t kChunk_bytes = 2048;
  const std::byte* from = nullptr;  // 16-byte aligned
  std::size_t bytes = 0;            // a multiple of 16

  static constexpr std::size_t blocks(std::size_t bytes) {
    return (bytes + kThreads * kChunk_bytes - 1) / (kThreads * kChunk_bytes);
  }

  template <class Thread>
  BREAKEVEN_DEVICE void operator()(Thread& t) const {
    const std::size_t at = (std::size_t{t.block_x()} * kThreads + t.thread()) * kChunk_bytes;
    if (at >= bytes) return;
    const std::size_t left = bytes - at;
    t.prefetch(from + at, static_cast<unsigned>(left < kChunk_bytes ? left : kChunk_bytes));
  }
};

}  // namespace breakeven::ops::cuda
