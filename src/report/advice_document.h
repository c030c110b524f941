// An advice as a person reads it: a table, or Markdown.
#pragma once

#include <string>

#include "decide/advice.h"
#include "report/document.h"
#include "report/table.h"

namespace breakeven::report {

Document make_document(const decide::Advice& advice, const decide::Question& question);

// Its parts, for the report's page. The question in words; a bullet for each choice; the ranking,
// with the reasons in a column of their own if `why`.
std::string asked_text(const decide::Question& question);
void add_choices(Document& document, const decide::Advice& advice);
Table ranking_table(const decide::Advice& advice, bool why);

}  // namespace breakeven::report
