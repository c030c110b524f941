// What stood around the numbers: machines, builds and commands, and how noisy each row was.
#pragma once

#include <span>

#include "record/record.h"
#include "report/keys.h"
#include "report/table.h"

namespace breakeven::report {

// What the records say of their machines and builds, one row for each fact.
Table environment_table(std::span<const record::Record> records);

// One row a cell: verdict, spread, and what other programs used of the machine meanwhile.
Table noise_table(std::span<const record::Record> records);

}  // namespace breakeven::report
