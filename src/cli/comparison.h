// What `compare` and `run --against` show, and the exit code that follows from it.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/journals.h"
#include "decide/comparison.h"
#include "record/record.h"
#include "report/comparison_document.h"

namespace breakeven::cli {

struct ComparisonOutput {
  decide::CompareOptions options{};
  DocumentFormat format = DocumentFormat::table;
  std::string output{};  // "" = stdout
};

// Errors: those of decide::compare and of write_output.
Result<void> write_comparison(std::span<const record::Record> before,
                              std::span<const record::Record> after, const ComparisonOutput& how,
                              Context& context);

}  // namespace breakeven::cli
