// Which vectors a piece of code has used, as the CPU itself knows it.
#pragma once

#include <cstddef>

namespace breakeven::testing {

// The parts of the vector state that only AVX-512 has: masks, and the upper halves and numbers
// 16 .. 31 of its registers. Registers that are as at start-up do not count as in use.
inline constexpr unsigned kAvx512State = 0xE0;
__attribute__((target("xsave"))) inline void forget_avx512_state() {
  alignas(64) static std::byte area[8192] = {};  // its header says: all as at start-up
  __asm__ volatile("xrstor64 %0" ::"m"(area), "a"(kAvx512State), "d"(0) : "memory");
}
inline unsigned avx512_state_in_use() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
  return low & kAvx512State;
}

}  // namespace breakeven::testing
