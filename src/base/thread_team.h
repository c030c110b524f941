// ThreadTeam: a fixed set of threads that run the same function together, as one lane's workers do.
// The caller is member 0; the others sleep between runs, and spin shortly first because a forward
// pass hands out work every few hundred microseconds. Threads of others may come as guests for a
// while: between open() and close() they take part in each run that follows an admit().
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
  static constexpr unsigned kMostMembers = (1U << 12U) - 1;

  // size >= 1 members of its own, and room for `guests` more. `on_start(member)` runs once on each
  // own member's thread (never on the caller's).
  explicit ThreadTeam(unsigned size, const std::function<void(unsigned member)>& on_start = {},
                      unsigned guests = 0);
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  ~ThreadTeam();

  // Members of the next run: the team's own, then the guests that were admitted.
  unsigned size() const { return size_; }

  // Runs work(member) once on every member, or on the first `most` of them, and returns when all
  // are done. Not re-entrant; one caller at a time. `work` must not throw.
  void run(const std::function<void(unsigned member)>& work, unsigned most = kMostMembers);

  // By the caller of run(), never during a run: lets guests come; makes members of those who have
  // come, and returns size(); sends all guests away.
  void open();
  unsigned admit();
  void close();

  // By any other thread: takes part until close(). False at once when the team is not open or has
  // no room.
  bool help();

 private:
  // One word, so that a waiting thread sees all three as they were together.
  struct State {
    std::uint64_t generation : 28;  // counts runs
    std::uint64_t session : 24;     // counts open() and close()
    std::uint64_t size : 12;        // members that take part in this run
  };
  void publish(State next);
  template <class Condition>
  State wait_until(const Condition& condition);
  void take_part(unsigned member, const State& state);
  void member_loop(unsigned member, const std::function<void(unsigned)>& on_start);

  unsigned own_, guests_, size_;
  unsigned come_ = 0;  // guests of this session
  bool open_ = false;
  const std::function<void(unsigned)>* work_ = nullptr;
  std::atomic<State> state_;
  std::atomic<unsigned> pending_{0};
  std::atomic<unsigned> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> members_;
};

}  // namespace breakeven
