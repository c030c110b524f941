// The fp32 GEMM alone, against the FMA peak of the same moments.
#pragma once

namespace breakeven::bench {

// Prints what the own GEMM and oneDNN's reach of the FMA peak on one thread, [256 x 768] x [768 x
// 768]. The instruction set must have been claimed.
void print_gemm_share(double seconds);

}  // namespace breakeven::bench
