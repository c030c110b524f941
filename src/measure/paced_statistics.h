// What the latencies of requests that wait for each other say. They are not independent: those of
// one busy period (while somebody waits or is served) share its queue, so that a hundred slow
// requests may be one stall. The unit of replication is therefore a block of whole busy periods:
// batch means, as for the output of a simulation (Law and Carson 1979, Heidelberger and Lewis
// 1984). A server that never idles has one busy period: where whole ones make fewer than ten
// blocks, long ones are cut, and pieces are joined until neighbours no longer resemble each other
// (Fishman 1978). Whole ones are not joined: what is left in their likeness is the machine's own
// drift.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "record/record.h"

namespace breakeven::measure {

// How near to its limit the server was. The nearer, the longer a queue remembers: with Poisson
// arrivals n requests are worth no more than n ÷ (1 + ρ(1 + ρ)(1 + v²) ÷ (1 - ρ)²) independent ones
// (Whitt 1989, for one server of constant service time; v: relative spread of its times). Few
// requests can look less alike than this by luck; whether a percentile is given must not hang on
// it.
struct ServerLoad {
  double share = 0;  // ρ of what it could do in full batches, in [0, 1); 0 = arrivals at set times
  double spread = 0;  // v

  // How many requests are worth one independent one, at the least.
  double requests_an_independent() const;
};

// Relative, of the times of texts of many lengths, where they are not known themselves.
inline constexpr double kUsualSpread = 0.5;

class QueueSample {
 public:
  // due_s: when each request was due, ascending; seconds: from then until it was answered.
  // ended_s: when it left the server, where that is not due + seconds (it failed, and counts as
  // longer than it was there).
  QueueSample(std::span<const double> due_s, std::span<const double> seconds,
              const ServerLoad& load, std::span<const double> ended_s = {});

  // With its 95 % interval, from the variance between at least ten blocks of whole busy periods, or
  // of pieces that do not resemble their neighbours. Nothing when the requests are worth too few
  // independent ones: samples_needed(share).
  std::optional<record::Estimate> percentile(double share) const;

  // Busy periods (or pieces of long ones) that hold a request above the percentile: on how many
  // stalls the tail stands.
  std::size_t episodes(double share) const;

  std::size_t busy_periods() const { return periods_.size(); }

 private:
  double independent(double share, double& clusters) const;

  std::span<const double> seconds_;
  std::vector<double> ordered_;
  std::vector<std::size_t> periods_;  // the first request of each busy period, or piece of one
  std::vector<std::size_t> blocks_;   // the first request of each block
  bool is_cut_ = false;               // blocks hold pieces of busy periods
  double most_independent_ = 0;       // by the load
};

}  // namespace breakeven::measure
