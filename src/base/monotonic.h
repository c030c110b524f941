// The monotonic clock of the system, in seconds: one for all processes of a machine.
#pragma once

#include <ctime>

namespace breakeven {

inline double monotonic_now_s() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace breakeven
