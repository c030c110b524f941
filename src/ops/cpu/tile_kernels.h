// The kernels on AMX tiles: GEMMs by bf16, s8 and split weights (gemm_amx.cc) and attention in bf16
// (attention_amx.cc). Only for CPUs with AMX; the two files are compiled for them whatever the
// compiler's default target is. Tests compile them once more with a stand-in for the instructions.
#pragma once

#include <cstddef>

#include "ops/cpu/kernels.h"

namespace breakeven::ops::cpu {

struct TileKernels {
  // out[rows, columns] = in[rows, depth] * weights, with what follows it (bias, scales, activation,
  // residual) done on each 32 x 32 block of results while the tiles work on the next block.
  // docs/cpu.md says why it is as it is.
  MultiplyPanels* multiply;
  // As Kernels::attention_bf16, with distances. Up to 32 rows after the last query (with distances:
  // after the last key, too) and 64 bytes after the last column are read (and ignored), so they
  // must be memory of the same buffer. The scratch memory has tile_attention_scratch_bytes().
  void (*attention)(const HalfAttentionTask& task);
  // Ends this thread's use of tiles, which the other two leave live: a thread that sleeps with live
  // tiles makes every switch of context save 8 KiB more.
  void (*release)();
};
const TileKernels& amx_tiles();

// `distances`: 2 * span, or 0.
std::size_t tile_attention_scratch_bytes(std::size_t longest, std::size_t head_size,
                                         std::size_t distances = 0);

}  // namespace breakeven::ops::cpu
