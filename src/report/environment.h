// What stood around the numbers: machines, builds and commands, and how noisy each row was.
#pragma once

#include <span>

#include "record/record.h"
#include "report/keys.h"
#include "report/table.h"

namespace breakeven::report {

// One row a thing to know of the machines and builds behind the records.
Table environment_table(std::span<const record::Record> records);

// One row a cell: verdict, spread, and what others took of the machine meanwhile.
Table noise_table(std::span<const record::Record> records);

}  // namespace breakeven::report
