// An advice as a person reads it: a table, or Markdown.
#pragma once

#include "decide/advice.h"
#include "report/document.h"

namespace breakeven::report {

Document make_document(const decide::Advice& advice, const decide::Question& question);

}  // namespace breakeven::report
