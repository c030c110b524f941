// `breakeven report`: renders journals again, also several together.
#include "report/report.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/journals.h"
#include "cli/known_gpu.h"
#include "cli/output.h"
#include "cli/quantities.h"

namespace breakeven::cli {
namespace {

struct ReportFlags {
  std::vector<std::string> files;
  std::string format = "table", output;
  std::string cpu_price, gpu_price, load, p99, memory, accuracy_loss, budget;
  bool all = false, brief = false;
};

// What the sliders of the HTML report start with; the prices that were given go into `first`, too.
Result<report::Start> read_start(const ReportFlags& flags, const CLI::App& command,
                                 report::Format format, report::FirstScreen& first) {
  report::Start start;
  static constexpr const char* kForHtml[] = {"--cpu-price", "--gpu-price",     "--load",  "--p99",
                                             "--memory",    "--accuracy-loss", "--budget"};
  for (const char* name : kForHtml) {
    const bool price = std::string_view(name).ends_with("-price");
    if (command.count(name) == 0 || format == report::Format::html ||
        (price && (format == report::Format::table || format == report::Format::md))) {
      continue;
    }
    return fail("flag/format", fmt::format("{} is for --format html", name),
                "it decides nothing in the other formats: use breakeven advise");
  }
  BREAKEVEN_TRY_VOID(read_quantities(
      command, {{"--cpu-price", flags.cpu_price, parse_price, first.cpu_price},
                {"--gpu-price", flags.gpu_price, parse_price, first.gpu_price},
                {"--load", flags.load, parse_load, start.load_per_s},
                {"--p99", flags.p99, parse_latency, start.p99_s},
                {"--memory", flags.memory, parse_memory, start.memory_bytes},
                {"--accuracy-loss", flags.accuracy_loss, parse_percent, start.accuracy_loss},
                {"--budget", flags.budget, parse_budget, start.budget_per_month}}));
  start.example_prices = !first.cpu_price || !first.gpu_price;
  start.cpu_price = first.cpu_price.value_or(start.cpu_price);
  start.gpu_price = first.gpu_price.value_or(start.gpu_price);
  return start;
}

Result<void> run_report(const ReportFlags& flags, const CLI::App& command) {
  report::RenderOptions options;
  BREAKEVEN_TRY(options.format, report::parse_format(flags.format));
  options.all = flags.all || (options.format != report::Format::table && !flags.brief);
  BREAKEVEN_TRY(options.start, read_start(flags, command, options.format, options.first));
  BREAKEVEN_TRY_VOID(check_output(flags.output));
  options.colour = use_colour(flags.output);
  BREAKEVEN_TRY(const std::vector<record::Record> records, read_journals(flags.files));
  compare_with_known(records, options.first);
  BREAKEVEN_TRY(const std::string text, report::render(records, options));
  return write_output(flags.output, text);
}

}  // namespace

void add_report(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("report", "Renders journals again; several may be given together");
  auto flags = std::make_shared<ReportFlags>();
  command
      ->add_option("files", flags->files,
                   "Journals (breakeven-<time>.jsonl), or a folder of them, as out/_done")
      ->required();
  command->add_option("--format", flags->format,
                      "table, md, csv, json, jsonl or html (default: table)");
  command->add_flag("--all", flags->all, "table: every table and note, not the first screen alone");
  command->add_flag("--brief", flags->brief, "md: the first screen alone, as table shows it");
  command->add_option("-o,--output", flags->output, "File for the report (default: stdout)");
  command->add_option("--cpu-price", flags->cpu_price,
                      "Price of the CPU machine an hour: 0.19; html: where its slider starts");
  command->add_option("--gpu-price", flags->gpu_price, "The same of the GPU machine: 0.53");
  command->add_option("--load", flags->load, "html: the load they start with: 40/s, 2M/day");
  command->add_option("--p99", flags->p99, "html: the limit on p99 they start with: 100ms");
  command->add_option("--memory", flags->memory, "html: the same of memory: 2GB, 512MiB");
  command->add_option("--accuracy-loss", flags->accuracy_loss,
                      "html: the same of points of accuracy that may be lost: 0.5");
  command->add_option("--budget", flags->budget, "html: the same of the budget: 200/month");
  command->callback([flags, command, &context] { finish(context, run_report(*flags, *command)); });
}

}  // namespace breakeven::cli
