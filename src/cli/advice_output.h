// How an advice is shown: as a document (table, Markdown) or as JSON.
#pragma once

#include <string>

#include "advise/advise.h"
#include "report/document.h"

namespace breakeven::cli {

report::Document make_document(const advise::Advice& advice, const advise::Question& question);

// One indented JSON object; numbers that are infinite or not known are null.
std::string to_json(const advise::Advice& advice, const advise::Question& question);

}  // namespace breakeven::cli
