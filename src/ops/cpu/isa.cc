#include "ops/cpu/isa.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "ops/cpu/cpu_backend.h"

namespace breakeven::ops::cpu {
namespace {

std::string cap_from_environment() {
  const char* text = std::getenv(kIsaVariable);
  return text == nullptr ? "" : text;
}

std::string names(const std::vector<InstructionSet>& sets) {
  std::string all;
  for (const InstructionSet set : sets) {
    all += (all.empty() ? "" : ", ") + std::string(to_string(set));
  }
  return all;
}

// The set called `name`, which must be one of `sets`. `what`: what has that name.
Result<InstructionSet> find_set(std::string_view name, const std::vector<InstructionSet>& sets,
                                const std::string& what, const std::string& hint) {
  const auto named = [&](InstructionSet set) { return to_string(set) == name; };
  const auto found = std::find_if(sets.begin(), sets.end(), named);
  if (found != sets.end()) return *found;
  const auto& all = all_instruction_sets();
  const bool exists = std::any_of(all.begin(), all.end(), named);
  return fail("ops/instruction-set",
              exists ? fmt::format("{}: this CPU has no {}", what, name)
                     : fmt::format("{}: there is no such instruction set", what),
              hint);
}

}  // namespace

Result<std::vector<InstructionSet>> usable_sets() {
  std::vector<InstructionSet> sets = runnable_sets(usable_cpu_flags());
  if (sets.empty()) {
    return fail("ops/unsupported", "this CPU has no AVX2 with FMA",
                "take a machine with AVX2 (Intel since Haswell, AMD since Excavator)");
  }
  const std::string cap = cap_from_environment();
  if (cap.empty()) return sets;
  BREAKEVEN_TRY(const InstructionSet highest,
                find_set(cap, sets, fmt::format("{}={}", kIsaVariable, cap),
                         fmt::format("choose from {}, or unset {}", names(sets), kIsaVariable)));
  std::erase_if(sets, [&](InstructionSet set) { return set > highest; });
  return sets;
}

Result<InstructionSet> choose_set(std::string_view name) {
  BREAKEVEN_TRY(const std::vector<InstructionSet> sets, usable_sets());
  if (name.empty()) return sets.back();
  const std::string cap = cap_from_environment();
  const auto here = runnable_sets(usable_cpu_flags());
  const bool above = std::any_of(here.begin(), here.end(), [&](InstructionSet set) {
    return to_string(set) == name && set > sets.back();
  });
  if (above) {
    return fail("ops/instruction-set",
                fmt::format("instruction set '{}' is above {}={}", name, kIsaVariable, cap),
                fmt::format("choose from {}, or unset {}", names(sets), kIsaVariable));
  }
  return find_set(name, sets, fmt::format("instruction set '{}'", name),
                  "choose from " + names(sets));
}

}  // namespace breakeven::ops::cpu
