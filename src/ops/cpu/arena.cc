#include "ops/cpu/arena.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/units.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kAlignment = 64;

}  // namespace

Result<Arena> Arena::allocate(std::size_t bytes) {
  Arena arena;
  arena.size_ = bytes == 0 ? kAlignment : bytes;
  void* base =
      ::mmap(nullptr, arena.size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) {
    return fail("ops/memory",
                fmt::format("the system refused {}, and {}",
                            format_bytes(static_cast<double>(bytes)), memory_left().to_string()),
                "take a smaller batch or a shorter maximum length");
  }
  ::madvise(base, arena.size_, MADV_HUGEPAGE);  // may be refused: where huge pages are off
  arena.base_ = static_cast<std::byte*>(base);
  return arena;
}

Arena::~Arena() {
  if (base_ != nullptr) ::munmap(base_, size_);
}

void* Arena::take_bytes(std::size_t bytes) {
  const std::size_t at = used_;
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (base_ == nullptr) return nullptr;
  BREAKEVEN_CHECK(used_ <= size_, "used={} size={}", used_, size_);
  return base_ + at;
}

}  // namespace breakeven::ops::cpu
