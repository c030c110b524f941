// Numbers from rounds. In each round of a run every cell is visited once, in random order; the
// round is the unit of replication, because a machine that is slow now is slow for the next
// seconds, too, so that the passes of one visit are worth little more than one number. Pure.
//
// All on the log scale. A cell's value in a round is its level × what the round does to all cells
// of the device × what is left. Three values cannot tell a cell's own noise, so the noise is pooled
// over the cells of one device and run. docs/measuring.md shows how often the intervals hold the
// truth on simulated machines; docs/decisions/0026 says why it is done so.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "record/record.h"

namespace breakeven::measure {

// A cell's value in each round (seconds of a pass, a percentile of a batch's seconds ...), all > 0;
// nothing where a round did not visit the cell. Rounds behind the end count as not visited.
using RoundValues = std::vector<std::optional<double>>;

// Fewer rounds carry no interval.
inline constexpr std::size_t kMinRounds = 3;

// How much values of one device and run vary. Standard deviations of logs, so 0.05 is about 5 %.
// Degrees of freedom are those of the standard deviation beside them; 0 = cannot be told.
struct Noise {
  double cell_sd = 0, cell_degrees = 0;  // of a cell's value in one round around its level
  // Of one cell's value ÷ that of a cell of another group in the same round.
  double pair_sd = 0, pair_degrees = 0;
  // The slowest round of a cell ÷ its fastest, of the median cell: how far the machine's speed
  // moved. At least 1; 1 where no cell has two rounds.
  double speed_range = 1;
};

// For each record the number of its group: cells that differ only in batch, mode and pace share a
// packed model, so that a sweep visits them one after the other in each round.
std::vector<std::size_t> visited_together(std::span<const record::Record* const> records);

// From the cells of one device and one run, but for those that are far noisier than the rest (they
// would make all others look so). `groups`: of visited_together(), as many as cells; empty = each
// cell is visited at a time of its own. Cells of a group saw the machine in nearly the same state:
// they are worth less than as many others, and two groups differ by more than two of their cells.
Noise pooled_noise(std::span<const RoundValues> cells, std::span<const std::size_t> groups = {});

// The geometric mean over the rounds and its interval; value 0 without a round, no interval below
// kMinRounds. `samples` is the number of rounds. A cell that is noisier than `noise` (which is of
// its device and run) can account for gets its own.
record::Estimate over_rounds(const RoundValues& values, const Noise& noise,
                             double confidence = 0.95);

// a ÷ b over the rounds that both have: what a round does to both is not in the interval. Both are
// of the device and run of `noise`. Value 0 without a common round, no interval below kMinRounds.
record::Estimate ratio_by_round(const RoundValues& a, const RoundValues& b, const Noise& noise,
                                double confidence = 0.95);

// a ÷ b, their intervals joined on the log scale (MOVER, Zou and Donner 2008) with a's confidence;
// no interval when one of them has none that is above 0.
record::Estimate ratio_of(const record::Estimate& a, const record::Estimate& b);

// a ÷ b where the rounds of one say nothing about those of the other: two devices, two runs. No
// interval where one side has none.
record::Estimate ratio_of_sides(const RoundValues& a, const Noise& noise_a, const RoundValues& b,
                                const Noise& noise_b, double confidence = 0.95);

// A sample that took over three times as long as it does in the other rounds, and as its neighbours
// in the same visit did: something held the machine up. Counted, and left out of the seconds of a
// pass (not of the percentiles: a stall is part of a tail).
struct Stalls {
  std::uint64_t count = 0;
  double seconds = 0;  // that they took beyond the usual time
};
Stalls stalls_of(const record::Record& record);

// Seconds of a pass in each round, without stalls; paced: of a batch. At index i the round of that
// index; rounds whose numbers no measurement can have given are left out. A record of schema 1 has
// no rounds: its complete passes stand in for them, which makes intervals too narrow where
// neighbours in time resemble each other.
RoundValues pass_seconds_by_round(const record::Record& record);
// A percentile of the samples of each round, share in [0, 1]: latency in serial mode.
RoundValues percentile_by_round(const record::Record& record, double share);

}  // namespace breakeven::measure
