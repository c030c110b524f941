#include "ops/cpu/isa.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>

namespace breakeven::ops::cpu {
namespace {

struct SetName {
  InstructionSet set;
  std::string_view name;
  dnnl::cpu_isa isa;
};
constexpr std::array<SetName, 6> kNames{{
    {InstructionSet::avx2, "avx2", dnnl::cpu_isa::avx2},
    {InstructionSet::avx2_vnni, "avx2_vnni", dnnl::cpu_isa::avx2_vnni},
    {InstructionSet::avx512_core, "avx512_core", dnnl::cpu_isa::avx512_core},
    {InstructionSet::avx512_core_vnni, "avx512_core_vnni", dnnl::cpu_isa::avx512_core_vnni},
    {InstructionSet::avx512_core_bf16, "avx512_core_bf16", dnnl::cpu_isa::avx512_core_bf16},
    {InstructionSet::avx512_core_amx, "avx512_core_amx", dnnl::cpu_isa::avx512_core_amx},
}};

// Linux gives AMX's tile registers (8 KiB a thread) only to a process that has asked. Threads
// started afterwards inherit the permission.
bool ask_for_tiles() {
  constexpr long kArchRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kArchRequestPermission, kTileData) == 0;
}

struct Features {
  bool avx2 = false, avx2_vnni = false, avx512 = false, vnni = false, bf16 = false, amx = false;
};

Features read_features() {
  __builtin_cpu_init();
  Features f;
  f.avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
           __builtin_cpu_supports("bmi2") != 0;
  f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512cd") != 0;
  f.vnni = f.avx512 && __builtin_cpu_supports("avx512vnni") != 0;
  f.bf16 = f.vnni && __builtin_cpu_supports("avx512bf16") != 0;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) f.avx2_vnni = f.avx2 && (a >> 4 & 1U) != 0;
  if (f.bf16 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    const bool tiles = (d >> 24 & 1U) != 0;
    f.amx = tiles && (d >> 22 & 1U) != 0 && (d >> 25 & 1U) != 0 && ask_for_tiles();
  }
  return f;
}

bool runs(InstructionSet set, const Features& f) {
  switch (set) {
    case InstructionSet::avx2:
      return f.avx2;
    case InstructionSet::avx2_vnni:
      return f.avx2_vnni;
    case InstructionSet::avx512_core:
      return f.avx512;
    case InstructionSet::avx512_core_vnni:
      return f.vnni;
    case InstructionSet::avx512_core_bf16:
      return f.bf16;
    case InstructionSet::avx512_core_amx:
      return f.amx;
  }
  return false;
}

// oneDNN's names in its environment variable are the same in capitals.
std::optional<InstructionSet> cap_from_environment() {
  const char* text = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (text == nullptr) text = std::getenv("DNNL_MAX_CPU_ISA");
  if (text == nullptr) return std::nullopt;
  std::string lower(text);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  for (const SetName& row : kNames) {
    if (row.name == lower) return row.set;
  }
  return std::nullopt;
}

struct Claim {
  std::mutex mutex;
  std::optional<InstructionSet> set;
};
Claim& claim() {
  static Claim the_claim;
  return the_claim;
}

Result<InstructionSet> best_set() {
  const std::vector<InstructionSet> sets = runnable_sets();
  if (sets.empty()) {
    return fail("ops/unsupported", "this CPU has no AVX2 with FMA",
                "take a machine with AVX2 (Intel since Haswell, AMD since Excavator)");
  }
  return sets.back();
}

Result<InstructionSet> parse_set(std::string_view name) {
  const std::vector<InstructionSet> sets = runnable_sets();
  std::string known;
  for (const InstructionSet set : sets) {
    if (to_string(set) == name) return set;
    known += (known.empty() ? "" : ", ") + std::string(to_string(set));
  }
  const bool exists = std::any_of(kNames.begin(), kNames.end(),
                                  [&](const SetName& row) { return row.name == name; });
  return fail("ops/instruction-set",
              exists ? fmt::format("this CPU cannot run '{}'", name)
                     : fmt::format("'{}' is not an instruction set", name),
              "choose from " + known);
}

}  // namespace

std::string_view to_string(InstructionSet set) {
  for (const SetName& row : kNames) {
    if (row.set == set) return row.name;
  }
  return "unknown";
}

std::vector<InstructionSet> runnable_sets() {
  static const Features kFeatures = read_features();
  const std::optional<InstructionSet> cap = cap_from_environment();
  std::vector<InstructionSet> sets;
  for (const SetName& row : kNames) {
    if (runs(row.set, kFeatures) && (!cap || row.set <= *cap)) sets.push_back(row.set);
  }
  return sets;
}

Result<InstructionSet> current_set() {
  {
    const std::lock_guard lock(claim().mutex);
    if (claim().set) return *claim().set;
  }
  return best_set();
}

Result<InstructionSet> claim_set(std::string_view forced) {
  BREAKEVEN_TRY(const InstructionSet wanted, forced.empty() ? current_set() : parse_set(forced));
  const std::lock_guard lock(claim().mutex);
  if (claim().set) {
    if (*claim().set == wanted) return wanted;
    return fail("ops/instruction-set",
                fmt::format("'{}' was asked for, but this process already runs on '{}'",
                            to_string(wanted), to_string(*claim().set)),
                "one process runs on one instruction set: use another process");
  }
  const auto* row = std::find_if(kNames.begin(), kNames.end(),
                                 [&](const SetName& name) { return name.set == wanted; });
  dnnl::set_max_cpu_isa(row->isa);  // refused once oneDNN has run: the check below tells
  const dnnl::cpu_isa effective = dnnl::get_effective_cpu_isa();
  if (effective != row->isa) {
    return fail("ops/instruction-set",
                fmt::format("oneDNN does not run on '{}' here (its own choice is {:#x})",
                            to_string(wanted), static_cast<unsigned>(effective)),
                "claim the instruction set before any other use of oneDNN in this process");
  }
  claim().set = wanted;
  return wanted;
}

}  // namespace breakeven::ops::cpu
