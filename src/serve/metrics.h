// Counts and histograms in Prometheus' text format, of a fixed size: every series is there from the
// start and none is ever added.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "serve/core.h"

namespace breakeven::serve {

// Seconds, in buckets of factor 2 from 64 us to 67 s.
class Histogram {
 public:
  static constexpr std::size_t kBuckets = 21;
  static double upper_s(std::size_t bucket);  // of all but the last, which has no end
  void add(double seconds);
  std::uint64_t count() const { return count_; }
  // NAME_bucket{LABELS,le="..."}, NAME_sum, NAME_count. `labels`: a="b", or "".
  void write(std::string_view name, std::string_view labels, std::string& out) const;

 private:
  std::array<std::uint64_t, kBuckets + 1> counts_{};
  std::uint64_t count_ = 0;
  double sum_s_ = 0;
};

struct LaneMetrics {
  std::string device;
  std::uint64_t batches = 0, texts = 0, tokens = 0, failures = 0, made_anew = 0;
  double busy_s = 0;
  // What batches took less what they were expected to: the model of times on trial.
  double excess_s = 0, absolute_excess_s = 0;
  Histogram batch_s;
};

struct Metrics {
  static constexpr int kStatuses[] = {200, 400, 401, 404, 405, 408, 413, 414, 415,
                                      417, 422, 424, 429, 431, 500, 503, 504, 505};
  std::array<std::uint64_t, std::size(kStatuses) + 1> replies{};  // the last: any other
  Histogram total_s, queue_s, tokenize_s, compute_s;              // of answered requests
  std::uint64_t texts = 0, truncated_tokens = 0;
  std::uint64_t tokenized_ahead = 0;                       // texts, while lanes computed others
  std::uint64_t connections = 0, connections_refused = 0;  // accepted in all; told to go
  std::size_t connections_open = 0;
  std::vector<LaneMetrics> lanes;

  void count_reply(int status);
  // `now_s`: of the core's backlog.
  std::string write(const Core& core, double now_s) const;
};

}  // namespace breakeven::serve
