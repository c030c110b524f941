// malloc's family and anonymous mmap, counted. Linked into the program (not into the libraries), so
// that these names stand before glibc's for every library in the process. glibc's own documentation
// allows to replace malloc this way; the blocks still come from glibc.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "measure/allocation_counter.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define BREAKEVEN_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BREAKEVEN_SANITIZER 1
#endif

#ifndef BREAKEVEN_SANITIZER

#include <malloc.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

using breakeven::measure::allocation_counter;

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): glibc's names.
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace {

bool counting() {
  return allocation_counter.counting.load(std::memory_order_relaxed);
}

std::int64_t size_of(void* block) {
  return block == nullptr ? 0 : static_cast<std::int64_t>(::malloc_usable_size(block));
}

void* counted(void* block) {
  if (block != nullptr && counting()) allocation_counter.add(size_of(block));
  return block;
}

// Anonymous mappings that are counted, so that munmap knows them. A full table counts no more.
struct Mapping {
  std::atomic<std::uintptr_t> address{0};
  std::atomic<std::int64_t> bytes{0};
};
constinit std::array<Mapping, 1024> mappings;

void remember(void* address, std::size_t bytes) {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  for (Mapping& mapping : mappings) {
    std::uintptr_t free_slot = 0;
    if (mapping.address.compare_exchange_strong(free_slot, number)) {
      mapping.bytes = static_cast<std::int64_t>(bytes);
      allocation_counter.add(static_cast<std::int64_t>(bytes));
      return;
    }
  }
}

// `bytes` of a mapping are given back; a part from its start moves the start.
void forget(void* address, std::size_t bytes) {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  for (Mapping& mapping : mappings) {
    if (mapping.address.load() != number) continue;
    const std::int64_t all = mapping.bytes.load();
    const auto part = static_cast<std::int64_t>(bytes);
    allocation_counter.add(-(part < all ? part : all));
    if (part < all) {
      mapping.bytes = all - part;
      mapping.address = number + bytes;
    } else {
      mapping.address = 0;
    }
    return;
  }
}

struct Announce {
  Announce() { breakeven::measure::allocation_hooks_present = true; }
} const kAnnounce;

}  // namespace

extern "C" {

void* malloc(std::size_t size) {
  return counted(__libc_malloc(size));
}

void* calloc(std::size_t count, std::size_t size) {
  return counted(__libc_calloc(count, size));
}

void* realloc(void* block, std::size_t size) {
  if (!counting()) return __libc_realloc(block, size);
  const std::int64_t before = size_of(block);
  void* moved = __libc_realloc(block, size);
  if (moved != nullptr || size == 0) allocation_counter.add(size_of(moved) - before);
  return moved;
}

void* reallocarray(void* block, std::size_t count, std::size_t size) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  return realloc(block, bytes);
}

void free(void* block) {
  if (block != nullptr && counting()) allocation_counter.add(-size_of(block));
  __libc_free(block);
}

void* memalign(std::size_t alignment, std::size_t size) {
  return counted(__libc_memalign(alignment, size));
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return counted(__libc_memalign(alignment, size));
}

void* valloc(std::size_t size) {
  return counted(__libc_memalign(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), size));
}

int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) {
    return EINVAL;
  }
  const int before = errno;
  void* block = __libc_memalign(alignment, size);
  if (block == nullptr) {
    errno = before;
    return ENOMEM;
  }
  *out = counted(block);
  return 0;
}

// glibc maps its own arenas and stacks by an internal name, so nothing counts twice.
void* mmap(void* hint, std::size_t bytes, int protection, int flags, int fd,
           off_t offset) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel answers with a number.
  void* address =
      reinterpret_cast<void*>(::syscall(SYS_mmap, hint, bytes, protection, flags, fd, offset));
  const bool memory = (flags & MAP_ANONYMOUS) != 0 && protection != PROT_NONE;
  if (address != MAP_FAILED && memory && counting()) remember(address, bytes);
  return address;
}

void* mmap64(void* hint, std::size_t bytes, int protection, int flags, int fd,
             off64_t offset) noexcept {
  return mmap(hint, bytes, protection, flags, fd, offset);
}

int munmap(void* address, std::size_t bytes) noexcept {
  if (counting()) forget(address, bytes);
  return static_cast<int>(::syscall(SYS_munmap, address, bytes));
}

}  // extern "C"

#endif  // BREAKEVEN_SANITIZER
