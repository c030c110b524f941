// The machine, the build, and what went on around a cell while it was timed. Everything is read
// below `root`, which is "/" but for tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "measure/clock.h"
#include "record/record.h"

namespace breakeven::measure {

// What cannot be read stays empty or zero; nothing fails.
record::Machine read_machine(const std::string& root = "/");

// Version, commit and flags as compiled in (generated build_info.h), library versions as loaded.
record::Build read_build();

// Now, as UTC in ISO 8601: "2026-11-21T20:44:00Z".
std::string utc_now();

// CPU time and context switches of this process and of its children that have ended.
struct OwnUsage {
  double cpu_s = 0;
  std::uint64_t involuntary_switches = 0, voluntary_switches = 0, major_faults = 0;
};
OwnUsage own_usage();

// Watches a cell: counters at start() and stop() and what lies between. A cell that is measured in
// several blocks starts and stops once a block; the shares are of all blocks together. The kernel
// counts CPU time in ticks of 10 ms: a block of less than a second says little.
class ConditionsWatch {
 public:
  explicit ConditionsWatch(const std::string& root = "/", const Clock& clock = monotonic_clock(),
                           std::function<OwnUsage()> usage = own_usage);
  ~ConditionsWatch();
  ConditionsWatch(const ConditionsWatch&) = delete;
  ConditionsWatch& operator=(const ConditionsWatch&) = delete;

  void start();
  // Reads clocks and temperatures (a few files); call it between passes, never inside the clock.
  void look();
  void stop();
  record::Conditions conditions() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace breakeven::measure
