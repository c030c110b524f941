// The tables of a run, from its records. Serial and stream never share a column.
#pragma once

#include <string>
#include <vector>

#include "record/record.h"
#include "report/keys.h"
#include "report/table.h"

namespace breakeven::report {

using Records = std::vector<record::Record>;

Table latency_table(const Records& serial, const Keys& keys);
Table stage_table(const Records& serial, const Keys& keys);
Table stream_table(const Records& stream, const Keys& keys);
// One row a configuration, whatever its modes: outputs against the judge, accuracy.
Table output_table(const Records& records, const Keys& keys);
// Memory of a fresh process a cell; empty when none was measured.
Table memory_table(const Records& records, const Keys& keys);
// Process start to first label and its parts; empty when none was measured.
Table cold_start_table(const Records& records, const Keys& keys);
// Joules for 1,000 texts, by host and GPU; empty when no row has a counter's reading.
Table energy_table(const Records& records, const Keys& keys);

// The percentiles above the median that some record has, in order: "p90", "p95" ...
std::vector<std::string> high_percentiles(const Records& records);
// The latency at a percentile, with its interval at "p50"; "-" where too few samples carry it.
TableCell percentile_cell(const record::Record& record, const std::string& name);

// Empty, or why the row decides nothing: "INVALID parity".
TableCell verdict_cell(const record::Record& record);

}  // namespace breakeven::report
