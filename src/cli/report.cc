// `breakeven report`: renders journals again, also several together.
#include "report/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/study_options.h"
#include "record/journal.h"

namespace breakeven::cli {
namespace {

struct ReportFlags {
  std::vector<std::string> files;
  std::string format = "table", output;
  bool brief = false;
};

Result<void> run_report(const ReportFlags& flags) {
  report::RenderOptions options;
  BREAKEVEN_TRY(options.format, report::parse_format(flags.format));
  options.brief = flags.brief;
  BREAKEVEN_TRY_VOID(check_output(flags.output));
  options.colour = (flags.output.empty() || flags.output == "-") && isatty(STDOUT_FILENO) == 1 &&
                   std::getenv("NO_COLOR") == nullptr;
  std::vector<record::Record> records;
  for (const std::string& file : flags.files) {
    BREAKEVEN_TRY(record::JournalContent content, record::read_journal(file));
    for (const std::string& note : content.notes) {
      std::fprintf(stderr, "breakeven: %s: %s\n", file.c_str(), note.c_str());
    }
    records.insert(records.end(), std::make_move_iterator(content.records.begin()),
                   std::make_move_iterator(content.records.end()));
  }
  if (records.empty()) {
    return fail("report/empty", fmt::format("'{}' holds no record", flags.files.front()),
                "give a journal that `breakeven run` wrote");
  }
  BREAKEVEN_TRY(const std::string text, report::render(records, options));
  return write_output(flags.output, text);
}

}  // namespace

void add_report(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("report", "Renders journals again; several may be given together");
  auto flags = std::make_shared<ReportFlags>();
  command->add_option("files", flags->files, "Journals (breakeven-<time>.jsonl)")->required();
  command->add_option("--format", flags->format,
                      "table, md, csv, json, jsonl or html (default: table)");
  command->add_flag("--brief", flags->brief,
                    "Leaves out stages, outputs, memory and notes (table, md)");
  command->add_option("-o,--output", flags->output, "File for the report (default: stdout)");
  command->callback([flags, &context] {
    if (const auto result = run_report(*flags); !result) {
      report_error(context, result.error());
    }
  });
}

}  // namespace breakeven::cli
