// What a request waits when it comes at a random time: one machine that answers one batch at a
// time. Requests arrive as a Poisson process; a batch starts when the machine is free and either
// `max_batch` texts wait or the oldest has waited `max_wait_s`; it takes what the latency model
// says for its texts' lengths, drawn from those recorded. Simulated, with fixed random numbers: the
// same question always gets the same answer. Not in the model: noise of the machine, the network,
// the split of a load over several machines other than at random.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace breakeven::advise {

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

// One server under question. It remembers what it has simulated, so that many limits cost little
// more than one; not for several threads at once.
class Queue {
 public:
  explicit Queue(Server server);

  // Texts a second that the machine answers when batches are always full.
  double full_rate() const { return full_rate_; }

  // Nothing when the machine cannot keep up with `rate_per_s`: the queue then grows without end.
  std::optional<Response> respond(double rate_per_s) const;

  // The highest rate whose p99 stays within `limit_s`, to 0.1 % of the full rate; 0 when not even a
  // lone request does. `time_factor` multiplies each batch's time (for the ends of its interval).
  double highest_rate(double limit_s, double time_factor = 1) const;

 private:
  double p99_s(double share, double time_factor) const;

  Server server_;
  double full_rate_ = 0;
  // p99 by share of the highest rate that can be kept up with, and time factor.
  mutable std::map<std::pair<double, double>, double> p99_s_;
};

}  // namespace breakeven::advise
