// What paced mode measured: latency under a load, row by row and in words.
#pragma once

#include <string>
#include <vector>

#include "record/record.h"
#include "report/keys.h"
#include "report/table.h"

namespace breakeven::report {

// One row a cell: the rate asked for, what was answered, percentiles from the due time, how the
// batcher worked. A row that could not keep up says "saturated" in place of its latency.
Table paced_table(const std::vector<record::Record>& paced, const Keys& keys);

// What the latency counts, how requests came and batches were made.
std::vector<std::string> paced_notes(const std::vector<record::Record>& records);

// For each configuration: the highest rate that it kept up with, its p99 there, and the lowest at
// which it did not. Rows that are INVALID or break parity take no part.
std::vector<std::string> paced_verdict(const std::vector<record::Record>& records,
                                       const Keys& keys);

}  // namespace breakeven::report
