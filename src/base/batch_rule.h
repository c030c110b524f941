// When a batch of requests starts: as soon as the machine is free and either the batch is full or
// its first request has waited long enough. A rule without threads and without a clock: measured
// load (measure/paced.cc) and the model of a queue (decide/queue_model.cc) both follow it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

namespace breakeven {

struct BatchRule {
  std::size_t max_texts = 1;
  double max_wait_s = 0;  // a batch starts at the latest so long after its first request came

  // The start of the batch whose first request is number `first` of `count`; request i comes at
  // come_s(i), ascending. A batch that nobody will fill waits for max_wait_s.
  template <class ComeAt>
  double start_s(std::size_t first, std::size_t count, const ComeAt& come_s, double free_s) const {
    const bool fills = count - first >= max_texts;
    const double full_s =
        fills ? come_s(first + max_texts - 1) : std::numeric_limits<double>::infinity();
    return std::max(free_s, std::min(full_s, come_s(first) + max_wait_s));
  }

  // The end of a batch that starts at `start_s`: it takes all who have come, as far as they fit.
  template <class ComeAt>
  std::size_t end_of(std::size_t first, std::size_t count, const ComeAt& come_s,
                     double start_s) const {
    std::size_t end = first;
    while (end < count && end - first < max_texts && come_s(end) <= start_s) ++end;
    return end;
  }
};

}  // namespace breakeven
