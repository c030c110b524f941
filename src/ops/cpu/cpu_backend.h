// The CPU backend: GEMMs by own kernels on AMX tiles or on vectors of AVX-512 or AVX2 (oneDNN's as
// second implementation), with weights packed once; everything around them by own vector kernels
// (docs/decisions/ says why). fp32, bf16 (fp32 residual stream, softmax and LayerNorm), int8
// (weights per channel, activations per row at run time; the rest as bf16 on tiles, as fp32 on
// vectors) and fp32x3 (on tiles; GEMMs as three products of bf16 halves, the rest as fp32).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/ops.h"

namespace breakeven::ops {

struct CpuOptions {
  Precision precision = Precision::fp32;
  // "avx2", "avx2_vnni", "avx512_core", "avx512_core_vnni", "avx512_core_bf16", "avx512_core_amx";
  // "" is the best one here. One process runs on one: the first backend decides.
  std::string instruction_set;
  // Who multiplies: "own" (the kernels of this folder), "onednn", or "": the environment variable
  // BREAKEVEN_CPU_GEMM if it is set, else own kernels.
  std::string gemm{};
};

// Layers 0 .. L-2 are packed for attention(), the last one for cls_attention() only.
// Errors: ops/unsupported (no AVX2, or a precision that this CPU would have to emulate),
// ops/instruction-set (unknown, not on this CPU, or another one already in use in this process),
// ops/gemm (unknown, or oneDNN for fp32x3).
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options);

// Precisions that run here without emulation, in the order fp32, fp32x3, bf16, int8; empty without
// AVX2.
std::vector<Precision> cpu_precisions();

// The instruction set that a backend made now would use; "" when the CPU has none of them.
std::string cpu_instruction_set();

// Every set that can be forced here, ascending.
std::vector<std::string> cpu_instruction_sets();

}  // namespace breakeven::ops
