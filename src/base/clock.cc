#include "base/clock.h"

#include <cerrno>
#include <cmath>
#include <ctime>

namespace breakeven {
namespace {

class MonotonicClock final : public Clock {
 public:
  double now_s() const override {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }

  void sleep_until(double time_s) const override {
    timespec wake{};
    wake.tv_sec = static_cast<std::time_t>(std::floor(time_s));
    wake.tv_nsec = static_cast<long>((time_s - std::floor(time_s)) * 1e9);
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, nullptr) == EINTR) {
    }
  }
};

}  // namespace

const Clock& monotonic_clock() {
  static const MonotonicClock kClock;
  return kClock;
}

}  // namespace breakeven
