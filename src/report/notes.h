// What stands under the tables: what the clock covered, padding, warnings with advice.
#pragma once

#include <string>
#include <vector>

#include "record/record.h"
#include "report/keys.h"

namespace breakeven::report {

// What was inside the clock and what was not, in each mode.
std::vector<std::string> clock_notes(const std::vector<record::Record>& records);

// Padding waste: computed over real tokens, of every configuration that pads.
std::vector<std::string> padding_notes(const std::vector<record::Record>& records);

// Who judged the outputs, what accuracy counts, what a '-' means.
std::vector<std::string> output_notes(const std::vector<record::Record>& records);

// What the energy rows count, or why there are none.
std::vector<std::string> energy_notes(const std::vector<record::Record>& records);

// One warning a cause: which rows, what was seen, what to do.
std::vector<std::string> warnings(const std::vector<record::Record>& records, const Keys& keys);

}  // namespace breakeven::report
