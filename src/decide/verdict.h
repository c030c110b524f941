// What the rows of a run say about CPU against GPU and about other runtimes: data, no sentences.
// Prices, loads and limits are the advice's (decide/advice.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "decide/rows.h"

namespace breakeven::decide {

// Two rows beside each other. Ratios above 1 mean that `first` is faster.
struct Lead {
  const Row* first = nullptr;
  const Row* second = nullptr;
  record::Estimate ratio;  // no interval: cannot be told, and `why` says so
  std::string why;         // "cpu int8, batch 32: fewer than 3 rounds"; "" = both have intervals

  // Above 0: `first` is faster; below 0: `second` is; 0: the interval holds 1, or there is none.
  int sign() const;
};

// The same question at one precision and batch on both devices.
struct AtPrecision {
  Precision precision = Precision::fp32;
  std::uint64_t batch = 0;
  Mode mode = Mode::serial;
  Lead gpu_over_cpu;
};

// One row of another runtime beside the native row that answers the same question.
struct Peer {
  Lead native_over_peer;
  std::optional<double> compute_ratio;  // peer's compute alone ÷ ours; serial only
};

struct Verdict {
  // Each device's row with the highest low end of its rate, whatever its precision, batch and mode;
  // where no row has an interval the highest rate. Null: no row may win.
  const Row* best_cpu = nullptr;
  const Row* best_gpu = nullptr;
  // One text at a time: the serial row of batch 1 with the shortest median.
  const Row* soonest_cpu = nullptr;
  const Row* soonest_gpu = nullptr;

  std::optional<Lead> throughput;  // best_gpu over best_cpu, in texts a second
  std::optional<Lead> latency;     // soonest_gpu over soonest_cpu, in medians of a batch
  // Every precision, batch and mode that both devices measured with native rows, in this order.
  std::vector<AtPrecision> same_precision;
  // What a lower precision brings: of each device that has both, the best native row of a lower
  // one over the best of fp32.
  std::vector<Lead> over_fp32;
  std::vector<Peer> peers;  // other runtimes' rows with a native row of the same cell
};
Verdict verdict_of(const RowSet& rows);

// Of the rows of a side that may win in the closed loop and whose cell is to be kept, the one with
// the highest low end of its rate; null when there is none.
using Keep = std::function<bool(const record::Cell&)>;
const Row* best_of(const RowSet& rows, Side side, const Keep& keep);

}  // namespace breakeven::decide
