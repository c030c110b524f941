// The flags of `run` that say how requests come in paced mode.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "record/record.h"
#include "study/plan.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace breakeven::cli {

// As typed; "" = not given.
struct PacedFlags {
  std::string rate{};  // "1,10,100/s"
  std::string arrivals{}, max_batch{}, max_wait{};
};
void add_paced_flags(CLI::App& command, PacedFlags& flags);

// Fills the axes' paced part; axes.modes must be set. Errors: flag/mode (paced without --rate, or
// its flags without paced), flag/quantity, flag/number, paced/arrivals.
Result<void> apply_paced(const PacedFlags& flags, study::Axes& axes);

// Each paced cell's share of the time must hold the requests that a median takes. Errors:
// flag/rate, which names the rate and the time that it needs.
Result<void> check_paced_time(const std::vector<record::Cell>& cells, double time_s);

}  // namespace breakeven::cli
