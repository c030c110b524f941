// The CPU backend: GEMMs on AMX tiles or on vectors of AVX-512 or AVX2, with weights packed once,
// and vector kernels around them (docs/cpu.md). fp32, bf16 (fp32 residual stream, softmax and
// LayerNorm), int8 (weights per channel, activations per row at run time; the rest as bf16 on
// tiles, as fp32 on vectors) and fp32x3 (on tiles; GEMMs as three products of bf16 halves, the rest
// as fp32).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/ops.h"

namespace breakeven::ops {

// An environment variable that caps the sets of the whole process: BREAKEVEN_ISA=avx2 makes a
// larger CPU one that has AVX2 only.
inline constexpr const char* kIsaVariable = "BREAKEVEN_ISA";

struct CpuOptions {
  Precision precision = Precision::fp32;
  // "avx2", "avx2_vnni", "avx512_core", "avx512_core_vnni", "avx512_core_bf16", "avx512_core_amx";
  // "" is the best one here. Backends of one process may differ.
  std::string instruction_set{};
};

// Layers 0 .. L-2 are packed for attention(), the last one for cls_attention() only.
// Errors: ops/unsupported (no AVX2, or a precision that this CPU would have to emulate),
// ops/instruction-set (unknown, not on this CPU, or above BREAKEVEN_ISA; BREAKEVEN_ISA itself).
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options);

// The set that a backend made with this name (or "") runs on. Errors: as make_cpu_backend's.
Result<std::string> cpu_instruction_set(std::string_view name = "");

// Precisions that run on this set without emulation, in the order fp32, fp32x3, bf16, int8; empty
// where there is no such set.
std::vector<Precision> cpu_precisions(std::string_view instruction_set = "");

}  // namespace breakeven::ops
