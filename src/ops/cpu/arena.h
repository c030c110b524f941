// One block of memory, taken once and handed out in pieces that start at 64-byte boundaries.
// Without memory it only counts: the same code that lays buffers out says how large they will be.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/result.h"

namespace breakeven::ops::cpu {

class Arena {
 public:
  Arena() = default;  // counts
  // `bytes` of zeroed memory, in huge pages where the system gives them. Errors: ops/memory.
  static Result<Arena> allocate(std::size_t bytes);

  Arena(Arena&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), size_(other.size_), used_(other.used_) {}
  Arena& operator=(Arena&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    std::swap(used_, other.used_);
    return *this;
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  // `count` elements, zeroed; null while counting.
  template <class T>
  T* take(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(take_bytes(count * sizeof(T)));
  }
  std::size_t used() const { return used_; }

 private:
  void* take_bytes(std::size_t bytes);

  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
  std::size_t used_ = 0;
};

}  // namespace breakeven::ops::cpu
