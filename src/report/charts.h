// The charts of a report, from its records: latency and throughput over the batch, where the time
// goes, latency over the load, memory, other runtimes, padding, lengths, scaling. Rows that are
// INVALID or break parity are in no chart.
#pragma once

#include <vector>

#include "record/record.h"
#include "report/chart.h"

namespace breakeven::report {

// In the order in which a reader asks; only those for which there are rows.
std::vector<Chart> charts(const std::vector<record::Record>& records);

}  // namespace breakeven::report
