#include "cli/paced_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "cli/quantities.h"
#include "cli/study_flags.h"
#include "cli/text_options.h"
#include "measure/paced.h"
#include "measure/statistics.h"

namespace breakeven::cli {

void add_paced_flags(CLI::App& command, PacedFlags& flags) {
  command.add_option("--rate", flags.rate,
                     "Paced: requests a second, as in 1,10,100 or 600/min; a row for each");
  command.add_option("--arrivals", flags.arrivals, "Paced: constant or poisson (default: poisson)");
  command.add_option("--max-batch", flags.max_batch,
                     "Paced: texts that the batcher puts into a batch at most (default: 32)");
  command.add_option("--max-wait", flags.max_wait,
                     "Paced: how long a batch waits to fill, as in 5ms (default: 0ms, whatever is "
                     "there goes at once)");
}

Result<void> apply_paced(const PacedFlags& flags, study::Axes& axes) {
  const bool paced = std::find(axes.modes.begin(), axes.modes.end(), "paced") != axes.modes.end();
  const std::pair<const char*, const std::string*> given[] = {{"--rate", &flags.rate},
                                                              {"--arrivals", &flags.arrivals},
                                                              {"--max-batch", &flags.max_batch},
                                                              {"--max-wait", &flags.max_wait}};
  for (const auto& [flag, text] : given) {
    if (paced || text->empty()) continue;
    return fail("flag/mode", fmt::format("{} {} means nothing without paced mode", flag, *text),
                "add --mode paced");
  }
  if (!paced) return {};
  if (flags.rate.empty()) {
    return fail("flag/mode", "--mode paced needs --rate", "give for example --rate 1,10,100");
  }
  for (const std::string& part : split_list(flags.rate)) {
    const bool has_unit = part.find('/') != std::string::npos;
    auto rate = parse_load("--rate", has_unit ? part : part + "/s");
    if (!rate) {
      return fail("flag/quantity", fmt::format("--rate '{}' is not a rate above 0", part),
                  "write for example 1,10,100 or 600/min");
    }
    axes.rates.push_back(*rate);
  }
  if (!flags.max_batch.empty()) {
    BREAKEVEN_TRY(axes.paced_batches, parse_numbers("--max-batch", flags.max_batch, kMaxBatch));
  }
  if (!flags.max_wait.empty()) {
    BREAKEVEN_TRY(axes.max_wait_s, parse_wait("--max-wait", flags.max_wait));
  }
  if (!flags.arrivals.empty()) {
    BREAKEVEN_TRY_VOID(measure::parse_arrivals(flags.arrivals));
    axes.arrivals = flags.arrivals;
  }
  return {};
}

Result<void> check_paced_time(const std::vector<record::Cell>& cells, double time_s) {
  if (cells.empty()) return {};
  // What is left of a cell's share after warming up, draining, and the part that does not count.
  constexpr double kUseful = 0.6;
  const double window_s = kUseful * time_s / static_cast<double>(cells.size());
  const auto needed = static_cast<double>(measure::samples_needed(0.5));
  for (const record::Cell& cell : cells) {
    if (cell.mode != "paced" || cell.rate_per_s * window_s >= needed) continue;
    const double wanted_s =
        std::ceil(needed / cell.rate_per_s / kUseful * static_cast<double>(cells.size()));
    return fail("flag/rate",
                fmt::format("--rate {:g}: only {:.0f} requests fit into {} of paced load, and a "
                            "median takes {:.0f}",
                            cell.rate_per_s, std::floor(cell.rate_per_s * window_s),
                            format_seconds(window_s), needed),
                fmt::format("give --time {:.0f}s or more, or ask for fewer rows (--precision, "
                            "--rate, --max-batch); p99 takes {} requests a row",
                            wanted_s, measure::samples_needed(0.99)));
  }
  return {};
}

}  // namespace breakeven::cli
