// A report as one HTML file: the first screen, cost over load as a picture with sliders for prices
// and load, charts, tables, notes, the environment and the rows as CSV. It loads nothing and runs
// only the scripts that it brings along (a content security policy with their hashes says so to the
// browser), follows the reader's light or dark scheme, and everything but charts and sliders reads
// without script. Every text from a record is escaped.
#pragma once

#include <span>
#include <string>

#include "record/record.h"
#include "report/decision.h"
#include "report/first_screen.h"

namespace breakeven::report {

std::string to_html(std::span<const record::Record> records, const Start& start = {},
                    const FirstScreen& first = {});

}  // namespace breakeven::report
