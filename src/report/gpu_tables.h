// What only rows on a GPU have: its clocks and times beside the host's, and its memory.
#pragma once

#include "report/tables.h"

namespace breakeven::report {

// Device events, clocks, heat, power and what slowed it down; empty without a GPU row.
Table gpu_table(const Records& records, const Keys& keys);
// Device memory of a fresh process a cell, by the engine's own count and by NVML's.
Table gpu_memory_table(const Records& records, const Keys& keys);

}  // namespace breakeven::report
