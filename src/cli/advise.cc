// `breakeven advise FILE...`: which machine to rent for a load, from records and prices.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/journals.h"
#include "cli/output.h"
#include "cli/quantities.h"
#include "decide/advice.h"
#include "decide/known_gpu.h"
#include "record/known.h"
#include "report/advice_document.h"
#include "report/advice_json.h"

namespace breakeven::cli {
namespace {

struct AdviseFlags {
  std::vector<std::string> files;
  std::string cpu_price, gpu_price, p99, load, budget, memory, accuracy_loss, max_wait;
  std::string utilisation, peak, gpu;
  std::string format = "table", output;
};

Result<decide::Question> read_question(const AdviseFlags& flags, const CLI::App& command) {
  decide::Question question;
  std::optional<double> max_wait;
  std::optional<double> utilisation;
  std::optional<double> peak;
  BREAKEVEN_TRY_VOID(read_quantities(
      command, {{"--cpu-price", flags.cpu_price, parse_price, question.cpu_price},
                {"--gpu-price", flags.gpu_price, parse_price, question.gpu_price},
                {"--p99", flags.p99, parse_latency, question.p99_s},
                {"--load", flags.load, parse_load, question.load_per_s},
                {"--budget", flags.budget, parse_budget, question.budget_per_month},
                {"--memory", flags.memory, parse_memory, question.memory_bytes},
                {"--accuracy-loss", flags.accuracy_loss, parse_percent, question.accuracy_loss},
                {"--max-wait", flags.max_wait, parse_wait, max_wait},
                {"--utilisation", flags.utilisation, parse_percent, utilisation},
                {"--peak", flags.peak, parse_peak, peak}}));
  question.max_wait_s = max_wait.value_or(0);
  question.utilisation = utilisation.value_or(question.utilisation);
  question.peak = peak.value_or(question.peak);
  return question;
}

Result<void> run_advise(const AdviseFlags& flags, const CLI::App& command, Context& context) {
  BREAKEVEN_TRY(const decide::Question question, read_question(flags, command));
  BREAKEVEN_TRY(const DocumentFormat format, parse_document_format(flags.format));
  BREAKEVEN_TRY_VOID(check_output(flags.output));
  BREAKEVEN_TRY(std::vector<record::Record> records, read_journals(flags.files));
  if (!flags.gpu.empty()) {
    BREAKEVEN_TRY(const std::vector<record::Record> known, record::known_records(flags.gpu));
    BREAKEVEN_TRY(const std::vector<record::Record> carried, decide::on_own_texts(known, records));
    records.insert(records.end(), carried.begin(), carried.end());
  }
  BREAKEVEN_TRY(const decide::Advice advice, decide::advise(records, question));
  BREAKEVEN_TRY_VOID(write_output(
      flags.output,
      format == DocumentFormat::json
          ? report::to_json(advice, question)
          : show_document(report::make_document(advice, question), format, flags.output)));
  context.exit_code = advice.outcome == decide::Outcome::no_cell       ? kResultSaysNo
                      : advice.outcome == decide::Outcome::cannot_tell ? kCannotTell
                                                                       : kOk;
  return {};
}

}  // namespace

void add_advise(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("advise", "Which machine to rent for a load, from records and prices");
  auto flags = std::make_shared<AdviseFlags>();
  command->add_option("files", flags->files, "Journals of CPU and GPU machines")->required();
  command->add_option("--cpu-price", flags->cpu_price, "Of the CPU machine, an hour: 0.19");
  command->add_option("--gpu-price", flags->gpu_price, "Of the GPU machine, an hour: 0.53");
  command->add_option("--p99", flags->p99, "99 of 100 requests within this time: 100ms");
  command->add_option("--load", flags->load, "Texts to classify: 40/s, 2M/day");
  command->add_option("--budget", flags->budget, "At most this much a month: 200/month");
  command->add_option("--memory", flags->memory, "At most this much memory: 2GB, 512MiB");
  command->add_option("--accuracy-loss", flags->accuracy_loss,
                      "Points of accuracy that a lower precision may lose: 0.5 (default: what "
                      "docs/parity.md lets pass)");
  command->add_option("--max-wait", flags->max_wait,
                      "Queue model: how long a batch may wait to fill: 5ms (default: not at all)");
  command->add_option("--utilisation", flags->utilisation,
                      "Plan for this share of the low end of a machine's rate (default: 70%)");
  command->add_option("--peak", flags->peak,
                      "The busiest time ÷ the average load: 3x (default: 1x)");
  command->add_option("--gpu", flags->gpu,
                      "Against the record of a known GPU that ships with breakeven: h100, h200");
  command->add_option("--format", flags->format, "table, md or json (default: table)");
  command->add_option("-o,--output", flags->output, "File for the advice (default: stdout)");
  command->footer(
      "Exit codes: 0 an answer; 1 no cell keeps the limits; 2 usage or environment; 3 can't tell: "
      "too\nclose to call, or nothing valid to decide from.");
  command->callback(
      [flags, command, &context] { finish(context, run_advise(*flags, *command, context)); });
}

}  // namespace breakeven::cli
