// The one clock of all measurements: CLOCK_MONOTONIC, in seconds. It is the same in all processes
// of a machine, so a child's reading can be compared with its parent's. Tests run on a ManualClock.
#pragma once

#include <utility>

namespace breakeven {

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;
  virtual double now_s() const = 0;
  // Returns at or shortly after `time_s`; a time that has passed returns at once.
  virtual void sleep_until(double time_s) const = 0;
};

// The system's clock. Lives as long as the program.
const Clock& monotonic_clock();

// Seconds since the last call, the first time since it was made.
class Lap {
 public:
  explicit Lap(const Clock& clock) : clock_(clock), last_s_(clock.now_s()) {}
  double seconds() {
    const double now_s = clock_.now_s();
    return now_s - std::exchange(last_s_, now_s);
  }

 private:
  const Clock& clock_;
  double last_s_;
};

// Stands still until it is moved; sleeping moves it.
class ManualClock final : public Clock {
 public:
  double now_s() const override { return now_s_; }
  void sleep_until(double time_s) const override { now_s_ = time_s > now_s_ ? time_s : now_s_; }
  void advance(double seconds) { now_s_ += seconds; }

 private:
  mutable double now_s_ = 0;
};

}  // namespace breakeven
