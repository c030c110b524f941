// The counters behind measure/memory.h; measure/allocation_hooks.cc moves them.
// Constant-initialised, because the first allocation comes before any constructor.
#pragma once

#include <atomic>
#include <cstdint>

namespace breakeven::measure {

struct AllocationCounter {
  std::atomic<bool> counting{false};
  // Signed: what was taken before counting started may be given back after.
  std::atomic<std::int64_t> allocated{0}, peak{0};

  void add(std::int64_t bytes) {
    const std::int64_t now = allocated.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    std::int64_t highest = peak.load(std::memory_order_relaxed);
    while (now > highest && !peak.compare_exchange_weak(highest, now, std::memory_order_relaxed)) {
    }
  }
};

extern AllocationCounter allocation_counter;
extern std::atomic<bool> allocation_hooks_present;  // set by the hooks' constructor

}  // namespace breakeven::measure
