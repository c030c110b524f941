// Memory whose end is watched: for kernels that the sanitizers do not see.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

namespace breakeven::testing {

// `count` elements that end right before a page that nobody may touch.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t count) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(T);
    size_ = (bytes + page - 1) / page * page + page;
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::mprotect(base_ + size_ - page, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(base_ + size_ - page - bytes);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { ::munmap(base_, size_); }
  T* data() const { return data_; }

 private:
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
  T* data_ = nullptr;
};

}  // namespace breakeven::testing
