// The machine, the build, and what went on around a cell while it was timed. Everything is read
// below `root`, which is "/" but for tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "record/record.h"

namespace breakeven::measure {

// What cannot be read stays empty or zero; nothing fails.
record::Machine read_machine(const std::string& root = "/");

// Version, commit and flags as compiled in (generated build_info.h), library versions as loaded.
record::Build read_build();

// Now, as UTC in ISO 8601: "2026-11-21T20:44:00Z".
std::string utc_now();

// CPU time and context switches of this process, of its children that have ended, and of those of
// `processes` (children, too) that live. A child's time moves from one to the other when it ends,
// so that differences of two readings count it once.
struct OwnUsage {
  double cpu_s = 0;
  std::uint64_t involuntary_switches = 0, voluntary_switches = 0, major_faults = 0;
};
OwnUsage own_usage(std::span<const int> processes = {}, const std::string& root = "/");

// Watches a cell: counters at start() and stop() and what lies between. A cell that is measured in
// several blocks starts and stops once a block; the shares are of all blocks together. The kernel
// counts CPU time in ticks of 10 ms: a block of less than a second says little.
class ConditionsWatch {
 public:
  using Usage = std::function<OwnUsage(std::span<const int> processes)>;
  // Without `usage` it is own_usage() below `root`.
  explicit ConditionsWatch(const std::string& root = "/", const Clock& clock = monotonic_clock(),
                           Usage usage = {});
  ~ConditionsWatch();
  ConditionsWatch(const ConditionsWatch&) = delete;
  ConditionsWatch& operator=(const ConditionsWatch&) = delete;

  // `processes`: that work for us beside this one (ClassifierInfo::processes).
  void start(std::span<const int> processes = {});
  // Reads clocks and temperatures (a few files); call it between passes, never inside the clock.
  void look();
  void stop();
  record::Conditions conditions() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace breakeven::measure
