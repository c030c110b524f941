// Calls a function again and again on a thread of its own: counters that must be read while the
// caller is busy measuring.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace breakeven::measure {

class Repeater {
 public:
  Repeater() = default;
  Repeater(const Repeater&) = delete;
  Repeater& operator=(const Repeater&) = delete;
  ~Repeater() { stop(); }

  // The first call comes after `every_s` seconds. Must not be running.
  void start(double every_s, std::function<void()> call);
  // Returns when no call is under way. Nothing when it is not running.
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace breakeven::measure
