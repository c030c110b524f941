// Attention of one head on AMX tiles: bf16 products, fp32 scores, softmax and sums. Only for CPUs
// with AMX (isa.h); the file is compiled for them whatever the compiler's default target is.
#pragma once

#include <cstddef>

#include "ops/cpu/kernels.h"

namespace breakeven::ops::cpu {

// As Kernels::attention_bf16. Up to 32 rows behind the last query and 64 bytes behind the last
// column are read (and ignored), so they must be memory of the same buffer. The scratch memory has
// tile_attention_scratch_bytes().
void tile_attention(const HalfAttentionTask& task);
std::size_t tile_attention_scratch_bytes(std::size_t longest, std::size_t head_size);

// Ends this thread's use of tiles: a thread that sleeps with live tiles makes every switch of
// context save 8 KiB more.
void release_tiles();

}  // namespace breakeven::ops::cpu
