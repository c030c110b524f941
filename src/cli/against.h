// `breakeven run --against OTHER`: two builds measured in turns by one command.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/study_flags.h"

namespace breakeven::cli {

struct AgainstFlags {
  std::string other;                  // "" = not asked for
  std::string turns, minimum_effect;  // "" = 4, 3%
};
void add_against_flags(CLI::App& command, AgainstFlags& flags);

// Both programs run with the flags of this command, each in a process of its own, in turns whose
// order is random; the outcome is what `compare` says, with its exit codes, the other build being
// the one before. Writes a journal of each side. Errors: against/program (OTHER cannot be run or is
// no breakeven), against/schema, against/failed (what a side said when it measured nothing),
// flag/..., those of decide::compare. `command`: as parsed.
Result<void> run_against(const AgainstFlags& against, const StudyFlags& study,
                         const CLI::App& command, Context& context);

}  // namespace breakeven::cli
