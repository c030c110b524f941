// `breakeven compare BEFORE AFTER`: did a change make it faster or slower?
#include <CLI/CLI.hpp>

#include "cli/comparison.h"
#include "cli/output.h"
#include "cli/quantities.h"

namespace breakeven::cli {
namespace {

struct CompareFlags {
  std::string before, after;
  std::string minimum_effect = "3%", format = "table", output;
};

Result<void> run_compare(const CompareFlags& flags, Context& context) {
  ComparisonOutput how;
  how.output = flags.output;
  BREAKEVEN_TRY(how.options.minimum_effect,
                parse_percent("--minimum-effect", flags.minimum_effect));
  BREAKEVEN_TRY(how.format, parse_document_format(flags.format));
  BREAKEVEN_TRY_VOID(check_output(flags.output));
  BREAKEVEN_TRY(const std::vector<record::Record> before, read_journals({flags.before}));
  BREAKEVEN_TRY(const std::vector<record::Record> after, read_journals({flags.after}));
  return write_comparison(before, after, how, context);
}

}  // namespace

Result<void> write_comparison(std::span<const record::Record> before,
                              std::span<const record::Record> after, const ComparisonOutput& how,
                              Context& context) {
  BREAKEVEN_TRY(const decide::Comparison comparison, decide::compare(before, after, how.options));
  const bool json = how.format == DocumentFormat::json;
  BREAKEVEN_TRY_VOID(write_output(
      how.output, json ? report::to_json(comparison)
                       : show_document(report::make_document(comparison), how.format, how.output)));
  context.exit_code = comparison.outcome == decide::Change::slower        ? kResultSaysNo
                      : comparison.outcome == decide::Change::cannot_tell ? kCannotTell
                                                                          : kOk;
  return {};
}

void add_compare(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("compare", "Says cell by cell whether a second run is faster or slower");
  auto flags = std::make_shared<CompareFlags>();
  command->add_option("before", flags->before, "Journal of the run before the change")->required();
  command->add_option("after", flags->after, "Journal of the run after it")->required();
  command->add_option("--minimum-effect", flags->minimum_effect,
                      "Smaller changes are called the same (default: 3%)");
  command->add_option("--format", flags->format, "table, md or json (default: table)");
  command->add_option("-o,--output", flags->output, "File for the report (default: stdout)");
  command->footer(
      "Exit codes: 0 same or faster; 1 a cell is slower; 2 usage or environment; 3 can't tell.");
  command->callback([flags, &context] { finish(context, run_compare(*flags, context)); });
}

}  // namespace breakeven::cli
