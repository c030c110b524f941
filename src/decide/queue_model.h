// What a request waits when it comes at a random time: one machine that answers one batch at a
// time. Requests arrive as a Poisson process; a batch starts when the machine is free and either
// `max_batch` texts wait or the oldest has waited `max_wait_s`; it takes what the latency model
// says for its texts' lengths, drawn from those recorded. Simulated, with fixed seeds: the same
// question always gets the same answer. Not in the model: how the machine's speed moves while a
// queue lasts, the network, the split of a load over several machines other than at random.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace breakeven::decide {

struct Server {
  std::vector<std::uint32_t>
      lengths;  // tokens of the texts that requests are drawn from; not empty
  // Seconds that a batch of these lengths takes, > 0.
  std::function<double(std::span<const std::uint32_t>)> batch_s;
  std::uint64_t max_batch = 1;
  double max_wait_s = 0;
};

struct Response {
  double p50_s = 0, p99_s = 0;  // from arrival to the end of the batch
  double mean_batch = 0;        // texts
  double busy_share = 0;
};

// Nearer to its full rate than this a queue hangs on what no model knows.
inline constexpr double kKnownLoad = 0.95;

struct QueueRate {
  double per_s = 0;          // 0 = not even a lone request is answered within the limit
  double low = 0, high = 0;  // with the errors of the times and of the simulation
  bool or_more = false;      // the limit is kept at kKnownLoad, too: nobody knows how far beyond
};

// One server under question. It remembers what it has simulated, so that many limits cost little
// more than one; not for several threads at once.
class Queue {
 public:
  // `measured_per_s`: texts a second that the machine was seen to answer one batch at a time. A
  // server that seems faster is slowed down to it. 0 = not known.
  explicit Queue(Server server, double measured_per_s = 0);

  // Texts a second that the machine answers when batches are always full.
  double full_rate() const { return full_rate_; }

  // Nothing beyond kKnownLoad of the full rate.
  std::optional<Response> respond(double rate_per_s) const;

  // The highest rate whose p99 stays within `limit_s`, to 0.1 % of the full rate. Each batch may
  // take from `fastest` to `slowest` times as long as the server says: `high` and `low` are the
  // rates then.
  QueueRate highest_rate(double limit_s, double fastest = 1, double slowest = 1) const;

 private:
  struct Tail {
    double p99_s = 0;
    double error = 0;  // of the simulation, relative, with 95 % confidence
  };
  Tail tail(double load, double time_factor) const;
  double highest_load(double limit_s, double time_factor, double errors) const;

  Server server_;
  double full_rate_ = 0;
  // By share of the full rate, and time factor.
  mutable std::map<std::pair<double, double>, Tail> tails_;
};

}  // namespace breakeven::decide
