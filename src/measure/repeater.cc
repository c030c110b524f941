#include "measure/repeater.h"

#include <chrono>
#include <utility>

#include "base/check.h"

namespace breakeven::measure {

void Repeater::start(double every_s, std::function<void()> call) {
  BREAKEVEN_CHECK(!thread_.joinable());
  stopped_ = false;
  thread_ =
      std::thread([this, step = std::chrono::duration<double>(every_s), call = std::move(call)] {
        std::unique_lock lock(mutex_);
        while (!wake_.wait_for(lock, step, [this] { return stopped_; })) {
          lock.unlock();
          call();
          lock.lock();
        }
      });
}

void Repeater::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

}  // namespace breakeven::measure
