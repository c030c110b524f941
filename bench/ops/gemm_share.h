// The fp32 GEMM alone, against the FMA peak of the same moments.
#pragma once

#include "base/instruction_set.h"

namespace breakeven::bench {

// Prints what the fp32 GEMM reaches of the FMA peak on one thread, [256 x 768] x [768 x 768].
void print_gemm_share(InstructionSet set, double seconds);

}  // namespace breakeven::bench
