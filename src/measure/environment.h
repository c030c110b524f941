// The machine, the build, and what went on around a cell while it was timed. Everything is read
// below `root`, which is "/" but for tests.
#pragma once

#include <cstdint>
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

// Watches a cell: counters at start() and stop() and what lies between. A cell that is measured in
// several blocks starts and stops once a block; the shares are of all blocks together.
class ConditionsWatch {
 public:
  explicit ConditionsWatch(const std::string& root = "/", const Clock& clock = monotonic_clock());
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
