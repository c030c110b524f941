// Instruction sets: what this CPU and system have, and the one that this process runs on. oneDNN
// fixes its set at the first primitive of a process, so there is one for the process, not one for
// each backend.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::ops::cpu {

// In ascending order of preference. The names are oneDNN's.
enum class InstructionSet : std::uint8_t {
  avx2,
  avx2_vnni,
  avx512_core,
  avx512_core_vnni,
  avx512_core_bf16,
  avx512_core_amx,  // AMX tiles with bf16 and int8
};
std::string_view to_string(InstructionSet set);

// Every set that this CPU and this system can run, ascending; empty below AVX2 with FMA.
// ONEDNN_MAX_CPU_ISA cuts it, since oneDNN obeys that variable, too.
std::vector<InstructionSet> runnable_sets();

// The set that this process runs on, or would run on if nothing has been claimed yet.
// Errors: ops/unsupported (no AVX2).
Result<InstructionSet> current_set();

// Claims `forced` ("" = the best one) for this process, before the first oneDNN primitive.
// Errors: ops/instruction-set (unknown, not on this CPU, or another one is already in use),
// ops/unsupported (no AVX2).
Result<InstructionSet> claim_set(std::string_view forced);

constexpr bool has_avx512(InstructionSet set) {
  return set >= InstructionSet::avx512_core;
}
constexpr bool has_amx(InstructionSet set) {
  return set == InstructionSet::avx512_core_amx;
}
// u8 x s8 products that do not saturate in 16 bits on their way to 32.
constexpr bool has_vnni(InstructionSet set) {
  return set == InstructionSet::avx2_vnni || set >= InstructionSet::avx512_core_vnni;
}
constexpr bool has_bf16(InstructionSet set) {
  return set >= InstructionSet::avx512_core_bf16;
}

}  // namespace breakeven::ops::cpu
