// Attention of one head on AMX tiles: bf16 products, fp32 scores, softmax and sums. Only for CPUs
// with AMX (isa.h); the file is compiled for them whatever the compiler's default target is.
#pragma once

#include <cstddef>

#include "ops/cpu/kernels.h"

namespace breakeven::ops::cpu {

// As AttentionTask, but everything is bf16. Up to 32 rows behind the last query and 64 bytes behind
// the last column are read (and ignored), so they must be memory of the same buffer.
struct TileAttentionTask {
  const Bf16* q = nullptr;
  const Bf16* k = nullptr;
  const Bf16* v = nullptr;
  std::size_t stride = 0;      // elements, of q, k and v
  std::size_t ctx_stride = 0;  // elements
  std::size_t query_begin = 0;
  std::size_t query_end = 0;
  std::size_t keys = 0;
  std::size_t head_size = 0;
  float scale = 1;
  Bf16* ctx = nullptr;
  std::byte* scratch = nullptr;  // tile_attention_scratch_bytes(), 64-byte aligned
};

std::size_t tile_attention_scratch_bytes(std::size_t longest, std::size_t head_size);

void tile_attention(const TileAttentionTask& task);

// Ends this thread's use of tiles: a thread that sleeps with live tiles makes every switch of
// context save 8 KiB more.
void release_tiles();

}  // namespace breakeven::ops::cpu
