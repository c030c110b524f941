// Two programs measured in turns: in which order, and how the pieces become one run of each. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "record/record.h"

namespace breakeven::study {

// For each turn, in which both are measured once, whether the first one begins. Random, but each
// begins in half of the turns, so that a machine that warms up or slows down favours neither.
std::vector<bool> turn_order(std::size_t turns, std::uint64_t seed);

// One record a cell from those of all turns (`blocks`: each turn's records, in time order): each
// turn becomes one round with its number as index, samples stand one behind the other, passes and
// windows are added up, rates and percentiles are estimated anew. Starts count from each turn's own
// beginning. A turn whose record is INVALID is left out, unless all are; of each reason the worst
// stands.
std::vector<record::Record> merge_turns(std::span<const std::vector<record::Record>> blocks);

}  // namespace breakeven::study
