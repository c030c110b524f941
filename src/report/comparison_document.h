// A comparison of two runs as a person reads it, and for a program.
#pragma once

#include <string>

#include "decide/comparison.h"
#include "report/document.h"

namespace breakeven::report {

Document make_document(const decide::Comparison& comparison);
// One JSON object, indented; what is not known is null.
std::string to_json(const decide::Comparison& comparison);

}  // namespace breakeven::report
