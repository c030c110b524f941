// An advice as a person reads it: a table, or Markdown.
#pragma once

#include "advise/advise.h"
#include "report/document.h"

namespace breakeven::report {

Document make_document(const advise::Advice& advice, const advise::Question& question);

}  // namespace breakeven::report
