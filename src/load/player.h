// Sends requests at their times over as many connections as that takes, and notes what became of
// each. One thread, epoll, no cap on what is in flight but the system's. What is behind in its
// schedule is sent at once and counts from when it was due.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/address.h"
#include "load/reply_reader.h"
#include "load/schedule.h"

namespace breakeven::load {

enum class End : std::uint8_t {
  left,       // nobody waited for it: interrupted, or the server is gone
  answered,   // 200, and what it must be
  refused,    // 429 or 503
  error,      // another status
  malformed,  // 200, but not what it must be
  broken,     // the connection ended, or spoke no HTTP, or was not made
  timed_out,
  unsent,  // this program could not: no descriptors, no ports
};

struct Exchange {
  double due_s = 0, sent_s = -1, done_s = -1;  // on the clock
  std::uint32_t text = 0;
  End end = End::left;
  int status = 0;
  double queue_s = -1, compute_s = -1;  // as the server says
  std::uint32_t batch = 0;
  bool failed() const { return end > End::answered; }
};

struct Played {
  std::vector<Exchange> exchanges;  // in the order in which they were due
  double begin_s = 0, end_s = 0;    // on the clock
  bool interrupted = false;
};

struct PlayerOptions {
  double timeout_s = 10;  // from when a request was due
  bool keep_alive = true;
  const std::atomic<bool>* stop = nullptr;
};

class Player {
 public:
  // Whether a reply of 200 to the request of this number is what it must be.
  using Check = std::function<bool(std::size_t request, const Reply& reply)>;

  // Raises this process's limit of descriptors as far as it may.
  Player(const Address& address, std::string server, const PlayerOptions& options,
         const Clock& clock = monotonic_clock());
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;
  ~Player();

  // One request alone. Errors: load/no-server, load/timeout, load/no-http (it speaks something
  // else, or closes).
  Result<Reply> ask(const std::string& request);

  // `requests`: the bytes for each text. Returns when every request has ended. Errors:
  // load/server-gone (nobody listens there any more).
  Result<Played> play(const Schedule& schedule, std::span<const std::string> requests,
                      const Check& check);
  // So many in flight all the time, in the order of `texts`, for at most so long; nobody is due
  // before it is sent.
  Result<Played> in_turns(std::span<const std::uint32_t> texts, std::size_t in_flight,
                          double most_s, std::span<const std::string> requests, const Check& check);

  std::size_t connections() const;  // made so far
  const Address& address() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace breakeven::load
