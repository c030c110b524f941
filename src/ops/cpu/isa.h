// The instruction set that a backend runs on: asked for by name, or the best one here.
#pragma once

#include <string_view>
#include <vector>

#include "base/instruction_set.h"
#include "base/result.h"

namespace breakeven::ops::cpu {

// The sets that this CPU can run, ascending, up to BREAKEVEN_ISA if that is set and not empty.
// Errors: ops/unsupported (no AVX2), ops/instruction-set (BREAKEVEN_ISA names no set of this CPU).
Result<std::vector<InstructionSet>> usable_sets();

// The set of that name, or the best one for "". Errors: those of usable_sets, ops/instruction-set
// (unknown, not on this CPU, above BREAKEVEN_ISA).
Result<InstructionSet> choose_set(std::string_view name);

}  // namespace breakeven::ops::cpu
