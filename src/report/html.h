// A report as one HTML file: verdict, charts, tables, notes, the environment and the rows as CSV.
// It loads nothing and runs nothing (a content security policy says so to the browser), follows the
// reader's light or dark scheme, and is well-formed XML. Every text from a record is escaped.
#pragma once

#include <span>
#include <string>

#include "record/record.h"

namespace breakeven::report {

std::string to_html(std::span<const record::Record> records);

}  // namespace breakeven::report
