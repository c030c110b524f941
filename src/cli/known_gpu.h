// What records without a GPU are compared with.
#pragma once

#include <span>

#include "record/record.h"
#include "report/first_screen.h"

namespace breakeven::cli {

// Gives the first screen of records that hold no GPU the one that ships with the program, or the
// reason why it does not fit.
void compare_with_known(std::span<const record::Record> records, report::FirstScreen& first);

}  // namespace breakeven::cli
