#include "base/thread_team.h"

#include <immintrin.h>

#include "base/check.h"

namespace breakeven {
namespace {

// About 20-50 us on today's cores: longer than the gap between two ops of a pass, far shorter than
// a batch.
constexpr int kSpins = 2000;

}  // namespace

ThreadTeam::ThreadTeam(unsigned size, const std::function<void(unsigned)>& on_start) : size_(size) {
  BREAKEVEN_CHECK(size >= 1, "size={}", size);
  members_.reserve(size - 1);
  for (unsigned member = 1; member < size; ++member) {
    members_.emplace_back([this, member, on_start] { member_loop(member, on_start); });
  }
}

ThreadTeam::~ThreadTeam() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& member : members_) member.join();
}

void ThreadTeam::run(const std::function<void(unsigned)>& work) {
  if (size_ == 1) {
    work(0);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    pending_.store(size_ - 1, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  work(0);
  for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadTeam::member_loop(unsigned member, const std::function<void(unsigned)>& on_start) {
  if (on_start) on_start(member);
  std::uint64_t seen = 0;
  while (true) {
    for (int spins = 0; spins < kSpins && generation_.load(std::memory_order_acquire) == seen;
         ++spins) {
      _mm_pause();
    }
    const std::function<void(unsigned)>* work = nullptr;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
      seen = generation_.load(std::memory_order_relaxed);
      if (stop_) return;
      work = work_;
    }
    (*work)(member);
    pending_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace breakeven
