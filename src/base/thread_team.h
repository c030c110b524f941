// ThreadTeam: a fixed set of threads that run the same function together, as one lane's workers do.
// The caller is member 0; the others sleep between runs, and spin shortly first because a forward
// pass hands out work every few hundred microseconds.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace breakeven {

class ThreadTeam {
 public:
  // size >= 1 members. `on_start(member)` runs once on each member's own thread (never on the
  // caller's).
  explicit ThreadTeam(unsigned size, const std::function<void(unsigned member)>& on_start = {});
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  ~ThreadTeam();

  unsigned size() const { return size_; }

  // Runs work(member) once on every member and returns when all are done. Not re-entrant; one
  // caller at a time. `work` must not throw.
  void run(const std::function<void(unsigned member)>& work);

 private:
  void member_loop(unsigned member, const std::function<void(unsigned)>& on_start);

  unsigned size_;
  const std::function<void(unsigned)>* work_ = nullptr;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<unsigned> pending_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> members_;
};

}  // namespace breakeven
