// Instruction sets that the CPU kernels are written for, and which of them a CPU can run. A set is
// a property of a backend: one process can use several.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// In ascending order of preference; records hold these names.
enum class InstructionSet : std::uint8_t {
  avx2,
  avx2_vnni,
  avx512_core,
  avx512_core_vnni,
  avx512_core_bf16,
  avx512_core_amx,  // AMX tiles with bf16 and int8
};
std::string_view to_string(InstructionSet set);
// All of them, ascending.
const std::vector<InstructionSet>& all_instruction_sets();

// Those that a CPU with these flags can run, ascending; empty below AVX2 with FMA. The flags are
// named as in /proc/cpuinfo.
std::vector<InstructionSet> runnable_sets(const std::set<std::string>& cpu_flags);

// The flags of this CPU that the sets above ask for, as far as the system lets programs use them.
// The first call asks Linux for AMX's tile registers (threads started later inherit them).
const std::set<std::string>& usable_cpu_flags();

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

}  // namespace breakeven
