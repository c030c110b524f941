#include "base/thread_team.h"

#include <immintrin.h>

#include <algorithm>

#include "base/check.h"

namespace breakeven {
namespace {

// About 20-50 us on today's cores: longer than the gap between two ops of a pass, far shorter than
// a batch.
constexpr int kSpins = 2000;

}  // namespace

ThreadTeam::ThreadTeam(unsigned size, const std::function<void(unsigned)>& on_start,
                       unsigned guests)
    : own_(size), guests_(guests), size_(size), state_(State{0, 0, size & kMostMembers}) {
  BREAKEVEN_CHECK(size >= 1 && size + guests <= kMostMembers, "size={} guests={}", size, guests);
  members_.reserve(size - 1);
  for (unsigned member = 1; member < size; ++member) {
    members_.emplace_back([this, member, on_start] { member_loop(member, on_start); });
  }
}

ThreadTeam::~ThreadTeam() {
  stop_ = true;
  State next = state_.load();
  ++next.generation;
  publish(next);
  for (std::thread& member : members_) member.join();
}

// A thread that goes to sleep counts itself first and looks at the state then; here it is the other
// way round, so that one of the two always notices the other.
void ThreadTeam::publish(State next) {
  state_.store(next);
  if (sleepers_.load() == 0) return;
  { const std::lock_guard lock(mutex_); }  // a sleeper that has looked is waiting by now
  wake_.notify_all();
}

template <class Condition>
ThreadTeam::State ThreadTeam::wait_until(const Condition& condition) {
  for (int spins = 0; spins < kSpins; ++spins) {
    if (const State state = state_.load(std::memory_order_acquire); condition(state)) return state;
    _mm_pause();
  }
  std::unique_lock lock(mutex_);
  ++sleepers_;
  State state = state_.load();
  wake_.wait(lock, [&] { return condition(state = state_.load()); });
  --sleepers_;
  return state;
}

// A member that `size` does not count came after the run had started: work_ is not for it.
void ThreadTeam::take_part(unsigned member, const State& state) {
  if (member >= state.size) return;
  (*work_)(member);
  pending_.fetch_sub(1, std::memory_order_release);
}

void ThreadTeam::run(const std::function<void(unsigned)>& work, unsigned most) {
  const unsigned members = std::min(size_, most);
  if (members == 1) {
    work(0);
    return;
  }
  work_ = &work;
  pending_.store(members - 1, std::memory_order_relaxed);
  State next = state_.load(std::memory_order_relaxed);
  ++next.generation;
  next.size = members & kMostMembers;
  publish(next);
  work(0);
  for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadTeam::open() {
  State next = state_.load(std::memory_order_relaxed);
  ++next.session;
  const std::lock_guard lock(mutex_);
  open_ = guests_ > 0;
  come_ = 0;
  state_.store(next);  // no thread waits for this
}

unsigned ThreadTeam::admit() {
  if (guests_ > 0) {
    const std::lock_guard lock(mutex_);
    size_ = own_ + come_;
  }
  return size_;
}

void ThreadTeam::close() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  size_ = own_;
  State next = state_.load(std::memory_order_relaxed);
  ++next.session;
  publish(next);
}

bool ThreadTeam::help() {
  unsigned member = 0;
  State seen{};
  {
    const std::lock_guard lock(mutex_);
    if (!open_ || come_ == guests_) return false;
    member = own_ + come_++;
    seen = state_.load();
  }
  const std::uint64_t session = seen.session;
  while (true) {
    seen = wait_until([&](const State& state) {
      return state.generation != seen.generation || state.session != session;
    });
    if (seen.session != session) return true;
    take_part(member, seen);
  }
}

void ThreadTeam::member_loop(unsigned member, const std::function<void(unsigned)>& on_start) {
  if (on_start) on_start(member);
  State seen{};
  while (true) {
    seen = wait_until([&](const State& state) { return state.generation != seen.generation; });
    if (stop_) return;
    take_part(member, seen);
  }
}

}  // namespace breakeven
