// How time grows with the number of texts: the tables and sentences of `breakeven scale`.
#pragma once

#include "report/document.h"
#include "report/tables.h"

namespace breakeven::report {

// `records` are those whose kind is "scaling", one a configuration and batch.
void scaling_blocks(Document& document, const Records& records);

}  // namespace breakeven::report
