#include "base/instruction_set.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace breakeven {
namespace {

using Flags = std::vector<std::string_view>;

struct Row {
  InstructionSet set;
  std::string_view name;
  Flags flags;
};

const std::vector<Row>& table() {
  static const std::vector<Row> kTable = [] {
    const auto with = [](Flags flags, std::initializer_list<std::string_view> more) {
      flags.insert(flags.end(), more);
      return flags;
    };
    const Flags avx2{"avx2", "fma", "bmi2"};
    const Flags avx512 = with(avx2, {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"});
    const Flags vnni = with(avx512, {"avx512_vnni"});
    const Flags bf16 = with(vnni, {"avx512_bf16"});
    return std::vector<Row>{
        {InstructionSet::avx2, "avx2", avx2},
        {InstructionSet::avx2_vnni, "avx2_vnni", with(avx2, {"avx_vnni"})},
        {InstructionSet::avx512_core, "avx512_core", avx512},
        {InstructionSet::avx512_core_vnni, "avx512_core_vnni", vnni},
        {InstructionSet::avx512_core_bf16, "avx512_core_bf16", bf16},
        {InstructionSet::avx512_core_amx, "avx512_core_amx",
         with(bf16, {"amx_tile", "amx_int8", "amx_bf16"})},
    };
  }();
  return kTable;
}

// Where CPUID has a flag, and which register states the system must save for it (bits of XCR0).
struct FlagBit {
  std::string_view name;
  unsigned leaf, subleaf, output, bit;
  unsigned states;
};
constexpr unsigned kEax = 0, kEbx = 1, kEcx = 2, kEdx = 3;
constexpr unsigned kYmm = 0x6, kZmm = 0xE6, kTiles = 0x60000;
constexpr std::array<FlagBit, 14> kFlagBits{{
    {"fma", 1, 0, kEcx, 12, kYmm},
    {"avx2", 7, 0, kEbx, 5, kYmm},
    {"bmi2", 7, 0, kEbx, 8, 0},
    {"avx_vnni", 7, 1, kEax, 4, kYmm},
    {"avx512f", 7, 0, kEbx, 16, kZmm},
    {"avx512dq", 7, 0, kEbx, 17, kZmm},
    {"avx512cd", 7, 0, kEbx, 28, kZmm},
    {"avx512bw", 7, 0, kEbx, 30, kZmm},
    {"avx512vl", 7, 0, kEbx, 31, kZmm},
    {"avx512_vnni", 7, 0, kEcx, 11, kZmm},
    {"avx512_bf16", 7, 1, kEax, 5, kZmm},
    {"amx_bf16", 7, 0, kEdx, 22, kTiles},
    {"amx_tile", 7, 0, kEdx, 24, kTiles},
    {"amx_int8", 7, 0, kEdx, 25, kTiles},
}};

using Registers = std::array<unsigned, 4>;

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r{};
  if (__get_cpuid_count(leaf, subleaf, &r[kEax], &r[kEbx], &r[kEcx], &r[kEdx]) == 0) return {};
  return r;
}

unsigned saved_states() {
  constexpr unsigned kOsUsesXsave = 27;
  if ((cpuid(1, 0)[kEcx] >> kOsUsesXsave & 1U) == 0) return 0;
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Linux gives AMX's tile registers (8 KiB a thread) only to a process that has asked.
bool ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

std::set<std::string> read_flags() {
  const unsigned saved = saved_states();
  std::set<std::string> flags;
  for (const FlagBit& flag : kFlagBits) {
    const bool there = (cpuid(flag.leaf, flag.subleaf)[flag.output] >> flag.bit & 1U) != 0;
    if (there && (saved & flag.states) == flag.states) flags.emplace(flag.name);
  }
  if (flags.contains("amx_tile") && !ask_for_tiles()) flags.erase("amx_tile");
  return flags;
}

}  // namespace

std::string_view to_string(InstructionSet set) {
  return table()[static_cast<std::size_t>(set)].name;
}

const std::vector<InstructionSet>& all_instruction_sets() {
  static const std::vector<InstructionSet> kAll = [] {
    std::vector<InstructionSet> all;
    for (const Row& row : table()) all.push_back(row.set);
    return all;
  }();
  return kAll;
}

std::vector<InstructionSet> runnable_sets(const std::set<std::string>& cpu_flags) {
  std::vector<InstructionSet> sets;
  for (const Row& row : table()) {
    const bool all = std::all_of(row.flags.begin(), row.flags.end(), [&](std::string_view flag) {
      return cpu_flags.contains(std::string(flag));
    });
    if (all) sets.push_back(row.set);
  }
  return sets;
}

const std::set<std::string>& usable_cpu_flags() {
  static const std::set<std::string> kFlags = read_flags();
  return kFlags;
}

}  // namespace breakeven
