// `breakeven report`: renders journals again, also several together.
#include "report/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/quantities.h"
#include "cli/study_options.h"
#include "record/journal.h"

namespace breakeven::cli {
namespace {

struct ReportFlags {
  std::vector<std::string> files;
  std::string format = "table", output;
  std::string cpu_price, gpu_price, load, p99;
  bool brief = false;
};

// What the sliders of the HTML report start with.
Result<report::Start> read_start(const ReportFlags& flags, const CLI::App& command,
                                 report::Format format) {
  report::Start start;
  const bool cpu = command.count("--cpu-price") > 0;
  const bool gpu = command.count("--gpu-price") > 0;
  const bool load = command.count("--load") > 0;
  const bool p99 = command.count("--p99") > 0;
  if (format != report::Format::html && (cpu || gpu || load || p99)) {
    return fail("flag/format", "--cpu-price, --gpu-price, --load and --p99 are for --format html",
                "prices decide nothing in the other formats: use breakeven advise");
  }
  if (cpu) {
    BREAKEVEN_TRY(start.cpu_price, parse_price("--cpu-price", flags.cpu_price));
  }
  if (gpu) {
    BREAKEVEN_TRY(start.gpu_price, parse_price("--gpu-price", flags.gpu_price));
  }
  if (load) {
    BREAKEVEN_TRY(start.load_per_s, parse_load("--load", flags.load));
  }
  if (p99) {
    BREAKEVEN_TRY(start.p99_s, parse_latency("--p99", flags.p99));
  }
  start.example_prices = !cpu || !gpu;
  return start;
}

Result<void> run_report(const ReportFlags& flags, const CLI::App& command) {
  report::RenderOptions options;
  BREAKEVEN_TRY(options.format, report::parse_format(flags.format));
  options.brief = flags.brief;
  BREAKEVEN_TRY(options.start, read_start(flags, command, options.format));
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
  command->add_option("--cpu-price", flags->cpu_price,
                      "html: the sliders start with this price of the CPU machine an hour: 0.19");
  command->add_option("--gpu-price", flags->gpu_price, "html: the same of the GPU machine: 0.53");
  command->add_option("--load", flags->load, "html: the load they start with: 40/s, 2M/day");
  command->add_option("--p99", flags->p99, "html: the limit on p99 they start with: 100ms");
  command->callback([flags, command, &context] {
    if (const auto result = run_report(*flags, *command); !result) {
      report_error(context, result.error());
    }
  });
}

}  // namespace breakeven::cli
