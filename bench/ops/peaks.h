// What this machine's arithmetic units do at most, measured: loops without memory, and loops whose
// tile loads hit L1. One thread, operations a second (a multiply-add is two).
#pragma once

namespace breakeven::bench {

struct Peaks {
  double fp32 = 0;        // FMA on the widest vectors that `avx512` allows
  double bf16 = 0;        // tile products from registers; 0 without AMX
  double bf16_loads = 0;  // with one tile load a product, 2 x 2 blocking
  double int8 = 0;
  double int8_loads = 0;
};
Peaks measure_peaks(bool avx512, bool amx);

// CPU time of the calling thread in seconds.
double thread_seconds();

}  // namespace breakeven::bench
