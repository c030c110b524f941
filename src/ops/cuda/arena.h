// Lays buffers out one after the other. With a null base it only counts.
#pragma once

#include <cstddef>

namespace breakeven::ops::cuda {

class Arena {
 public:
  explicit Arena(std::byte* base = nullptr) : base_(base) {}

  // `count` values, 256-byte aligned as cublasLt likes it best; null while counting.
  template <class T>
  T* take(std::size_t count) {
    const std::size_t at = used_;
    used_ += (count * sizeof(T) + kAlignment_bytes - 1) / kAlignment_bytes * kAlignment_bytes;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  std::byte* take_bytes(std::size_t bytes) { return take<std::byte>(bytes); }
  std::size_t used() const { return used_; }

 private:
  static constexpr std::size_t kAlignment_bytes = 256;
  std::byte* base_;
  std::size_t used_ = 0;
};

}  // namespace breakeven::ops::cuda
