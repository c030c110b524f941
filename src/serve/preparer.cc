#include "serve/preparer.h"

#include <utility>

namespace breakeven::serve {

Preparer::Preparer(Read read, Finished finished)
    : read_(std::move(read)), finished_(std::move(finished)), thread_([this] { work(); }) {}

Preparer::~Preparer() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Preparer::run(std::vector<Job> jobs) {
  busy_ = true;
  {
    const std::lock_guard lock(mutex_);
    jobs_ = std::move(jobs);
  }
  changed_.notify_one();
}

void Preparer::work() {
  while (true) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ends_ || !jobs_.empty(); });
    if (ends_) return;
    std::vector<Job> jobs = std::exchange(jobs_, {});
    lock.unlock();
    for (Job& job : jobs) read_((*job.texts)[job.text].view(), job.made);
    finished_(std::move(jobs));
  }
}

}  // namespace breakeven::serve
