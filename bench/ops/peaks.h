// What this machine does at most, measured: arithmetic from registers, with tile loads that hit L1
// or L2, and reading memory. One thread, operations a second (a multiply-add is two), unless said.
#pragma once

#include <cstddef>

#include "base/instruction_set.h"

namespace breakeven::bench {

struct Peaks {
  double fp32 = 0;        // FMA on the set's widest vectors
  double bf16 = 0;        // products from registers, on tiles or vectors; 0 where there are none
  double bf16_loads = 0;  // tiles: with one tile load a product, 2 x 2 blocking, all in L1
  double bf16_l2 = 0;     // the same over 512 KiB
  double int8 = 0;
  double int8_loads = 0;
  double int8_l2 = 0;
};
Peaks measure_peaks(InstructionSet set);

// FMA rate from registers over about a millisecond: what a core gives at the moment.
double fma_rate(bool avx512);

// Bytes a second that `threads` threads together read, each its own part of `bytes`; wall time.
double read_bandwidth(std::size_t bytes, unsigned threads);

// CPU time of the calling thread in seconds.
double thread_seconds();

}  // namespace breakeven::bench
