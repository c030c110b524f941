// Which instruction sets a test can use here.
#pragma once

#include <algorithm>
#include <string>

#include "ops/cpu/isa.h"

namespace breakeven::testing {

// Why `set` cannot be used here, for GTEST_SKIP(); "" where it can.
inline std::string missing(InstructionSet set) {
  const auto sets = ops::cpu::usable_sets();
  if (!sets) return "SKIPPED: " + sets.error().to_string();
  if (std::find(sets->begin(), sets->end(), set) != sets->end()) return "";
  const auto here = runnable_sets(usable_cpu_flags());
  const bool capped = std::find(here.begin(), here.end(), set) != here.end();
  return std::string("SKIPPED: ") + (capped ? "BREAKEVEN_ISA leaves no " : "this CPU has no ") +
         std::string(to_string(set));
}

}  // namespace breakeven::testing
