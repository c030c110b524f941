// `breakeven run`: the main job. Measures every cell and says what it means.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iterator>

#include "base/limits.h"
#include "base/units.h"
#include "cli/against.h"
#include "cli/fresh_cell.h"
#include "cli/given_options.h"
#include "cli/interrupt.h"
#include "cli/journals.h"
#include "cli/known_gpu.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quantities.h"
#include "cli/study.h"
#include "measure/parity.h"
#include "measure/rounds.h"
#include "measure/thresholds.h"
#include "record/journal.h"
#include "report/html.h"
#include "report/keys.h"
#include "report/report.h"
#include "report/table.h"
#include "session/study_input.h"
#include "study/judging.h"
#include "study/rate_search.h"
#include "study/sweep.h"

namespace breakeven::cli {
namespace {

// Of a pass, unless --count says otherwise: as many as let every cell make its rounds, but no more.
constexpr std::size_t kMostTexts = 256;

struct RunFlags {
  StudyFlags study;
  AgainstFlags against;
  bool no_memory = false;
  bool all = false;  // tables, too
  std::string cpu_price, gpu_price;
  std::string html;  // file; "" = none
};

// What a run takes, roughly, with the first so many texts in a pass.
struct Estimate {
  double prepare_s = 0;  // judging, fresh processes, making each classifier for the first time
  double round_s = 0;    // in which every cell makes a pass to warm up and one that is timed
  double with_rounds_s(double rounds) const { return prepare_s + rounds * round_s; }
};

Estimate estimate(const Study& study, const std::vector<record::Cell>& cells, std::size_t timed,
                  bool fresh) {
  const study::Input& input = study.input;
  const std::string& isa = input.prototype.instruction_set;
  const auto texts = std::span(input.texts).first(timed);
  record::Cell judge;
  for (const record::Cell& cell : cells) judge.threads = std::max(judge.threads, cell.threads);
  judge.batch = 8;
  constexpr double kReference_s = 10;
  constexpr double kProcess_s = 2;
  constexpr double kImports_s = 15;  // of another runtime's libraries, and its loading
  constexpr double kMake_s = 1;
  Estimate total{kReference_s + std::min(study::kJudgingShare * input.time_s,
                                         study::guess_pass_s(judge, isa, input.work, input.texts))};
  for (const record::Cell& cell : cells) {
    const double pass = study::guess_pass_s(cell, isa, input.work, texts);
    const double batches =
        static_cast<double>(timed) / static_cast<double>(std::max<std::uint64_t>(1, cell.batch));
    const double process = cell.runtime.is_native() ? kProcess_s : kImports_s;
    if (fresh) total.prepare_s += process + 2 * pass / std::max(1.0, batches);
    if (cell.mode != Mode::paced) total.round_s += 2 * pass;
  }
  for (const study::Group& group : study::group_cells(cells)) {
    if (!group.spec.runtime.is_native()) total.prepare_s += kImports_s;
    total.round_s += kMake_s;
  }
  return total;
}

// The largest batch, doubled as long as the rounds fit into the time: a pass must hold a whole
// batch, and a longer one has more lengths and keeps more batches in flight.
std::size_t texts_of_a_pass(const Study& study, const std::vector<record::Cell>& cells, bool fresh,
                            std::size_t fewest) {
  std::size_t texts = fewest;
  const auto fits = [&](std::size_t count) {
    return estimate(study, cells, count, fresh).with_rounds_s(study::kRoundsAimedAt) <=
           study.input.time_s;
  };
  const std::size_t most = study.input.texts.size();
  while (2 * texts <= std::min(most, kMostTexts) && fits(2 * texts)) texts *= 2;
  return std::min(texts, most);
}

// How many rounds fit, and what to do when they are too few for an interval.
std::string rounds_sentence(const Study& study, const Estimate& time) {
  const double rounds = std::floor((study.input.time_s - time.prepare_s) / time.round_s);
  const auto needed = static_cast<double>(measure::kMinRounds);
  const std::string round = format_seconds(time.round_s);
  if (rounds >= needed) {
    return fmt::format("Rounds: about {:.0f} fit into --time {} (one takes {})\n",
                       std::min(rounds, 1000.0), study.flags.time, round);
  }
  return fmt::format(
      "Rounds: {:.0f} of the {:.0f} that an interval takes fit into --time {} (one takes {}): give "
      "--time {:.0f}s, fewer cells or fewer texts (--count)\n",
      std::max(1.0, rounds), needed, study.flags.time, round,
      std::ceil(time.with_rounds_s(needed)));
}

void print_plan(const Study& study, const std::vector<record::Cell>& cells, bool fresh) {
  report::Table table({report::left("runtime"), report::left("device"), report::left("precision"),
                       report::right("batch"), report::right("threads"),
                       report::right("max length"), report::left("padding"), report::left("mode"),
                       report::right("a pass, roughly")});
  const auto timed = std::span(study.input.texts).first(study.input.timed);
  for (const record::Cell& cell : cells) {
    table.add_row({to_string(cell.runtime), to_string(cell.device), to_string(cell.precision),
                   std::to_string(cell.batch), std::to_string(cell.threads),
                   std::to_string(cell.max_length), to_string(cell.padding), to_string(cell.mode),
                   format_seconds(study::guess_pass_s(cell, study.input.prototype.instruction_set,
                                                      study.input.work, timed))});
  }
  std::string text = fmt::format("{} over {} of {}, model {}\n", counted(cells.size(), "cell"),
                                 counted(study.input.timed, "text"), study.reviews.name,
                                 study.session->facts().name);
  if (!study.device_note.empty()) text += study.device_note + "\n";
  text += table.to_text(100, study.render.colour);
  const Estimate time = estimate(study, cells, study.input.timed, fresh);
  text += fmt::format(
      "Estimated time: {} (rough: from this machine's instruction set, nothing was "
      "run)\n",
      format_seconds(std::max(study.input.time_s, time.with_rounds_s(1))));
  if (!cells.empty()) text += rounds_sentence(study, time);
  (void)write_output("", text);
}

// Records of an earlier run that answer cells of this one: of a cell that was measured again the
// last one, of a search for the same limit every rate that it tried.
std::vector<record::Record> done_before(const std::vector<record::Record>& journal,
                                        const std::vector<record::Cell>& cells,
                                        const study::Input& input) {
  const record::Record& prototype = input.prototype;
  const auto counts = [&](const record::Record& record) {
    const bool failed = std::any_of(
        record.reasons.begin(), record.reasons.end(),
        [](const auto& reason) { return reason.code == "failed" || reason.code == "interrupted"; });
    return record.kind == record::Kind::cell && !failed &&
           record.model_hash == prototype.model_hash && record.texts.hash == prototype.texts.hash &&
           record.machine.hostname_hash == prototype.machine.hostname_hash;
  };
  std::vector<record::Record> done;
  for (const record::Cell& cell : cells) {
    std::vector<record::Record> of_cell;
    for (const record::Record& record : journal) {
      if (!study::answers(record.cell, cell) || !counts(record)) continue;
      if (!study::is_search(cell)) {
        of_cell = {record};
      } else if (record.paced && record.paced->p99_limit_s == input.p99_limit_s) {
        of_cell.push_back(record);
      }
    }
    done.insert(done.end(), of_cell.begin(), of_cell.end());
  }
  return done;
}

// Whether nothing is left to be measured of it.
bool is_done(const record::Cell& cell, const std::vector<record::Record>& records,
             double p99_limit_s) {
  if (study::is_search(cell)) {
    study::RateSearch search(1);
    return search.tell_all(records, cell, p99_limit_s) > 0 && !search.next();
  }
  return std::any_of(records.begin(), records.end(),
                     [&](const auto& record) { return record.cell == cell; });
}

// The records in the order of the plan, whether they came from the journal or from now.
std::vector<record::Record> in_order(const std::vector<record::Cell>& cells,
                                     const std::vector<record::Record>& records) {
  std::vector<record::Record> ordered;
  for (const record::Cell& cell : cells) {
    std::copy_if(records.begin(), records.end(), std::back_inserter(ordered),
                 [&](const auto& record) { return study::answers(record.cell, cell); });
  }
  return ordered;
}

int exit_code_of(const std::vector<record::Record>& records, bool interrupted) {
  if (interrupted) return kCannotTell;
  if (std::any_of(records.begin(), records.end(), measure::breaks_parity)) return kResultSaysNo;
  const auto counts = [](const record::Record& record) { return !measure::is_invalid(record); };
  return std::any_of(records.begin(), records.end(), counts) ? kOk : kCannotTell;
}

class RunCommand {
 public:
  RunCommand(const RunFlags& flags, const CLI::App& command, Context& context)
      : flags_(flags), command_(command), context_(context) {}
  Result<void> run();

 private:
  Result<std::vector<record::Record>> resume();
  Result<study::Outcome> measure(record::Journal& journal);
  Result<void> show(const std::vector<record::Record>& records, const std::string& journal);
  std::string resume_command(const std::string& journal) const;

  const RunFlags& flags_;
  const CLI::App& command_;
  Context& context_;
  std::unique_ptr<Study> study_;
  std::vector<record::Cell> cells_;
};

Result<std::vector<record::Record>> RunCommand::resume() {
  if (flags_.study.resume.empty()) return std::vector<record::Record>{};
  BREAKEVEN_TRY(const record::JournalContent content, record::read_journal(flags_.study.resume));
  for (const std::string& note : content.notes) tell(note);
  return done_before(content.records, cells_, study_->input);
}

Result<study::Outcome> RunCommand::measure(record::Journal& journal) {
  ProgressLine progress;
  study::Tools tools = session::make_tools(*study_->session, study_->gpus);
  if (!flags_.no_memory) {
    tools.fresh = [&](const record::Cell& cell) { return measure_fresh(*study_, cell); };
  }
  tools.keep = [&](const record::Record& record) { return journal.append(record); };
  tools.progress = &progress;
  study_->session->loading = [&](std::string_view what, double done) {
    progress.loading(what, done);
  };
  auto outcome = study::run_sweep(study_->input, tools);
  study_->session->loading = nullptr;
  return outcome;
}

// "breakeven run --batch 1 --resume FILE"
std::string RunCommand::resume_command(const std::string& journal) const {
  std::vector<std::string> words = {context_.command.front(), command_.get_name()};
  for (const std::string& word : given_options(command_, {"--resume", "--journal"})) {
    words.push_back(word);
  }
  words.insert(words.end(), {"--resume", journal});
  std::transform(words.begin(), words.end(), words.begin(), quoted);
  return fmt::format("{}", fmt::join(words, " "));
}

Result<void> RunCommand::show(const std::vector<record::Record>& records,
                              const std::string& journal) {
  report::RenderOptions& how = study_->render;
  how.all = flags_.all || how.format != report::Format::table;
  how.first.time_s = study_->input.time_s;
  how.first.journal = journal;
  compare_with_known(records, how.first);
  how.start.example_prices = !how.first.cpu_price || !how.first.gpu_price;
  how.start.cpu_price = how.first.cpu_price.value_or(how.start.cpu_price);
  how.start.gpu_price = how.first.gpu_price.value_or(how.start.gpu_price);
  BREAKEVEN_TRY(const std::string text, report::render(records, how));
  BREAKEVEN_TRY_VOID(write_output(flags_.study.output, text));
  if (flags_.html.empty()) return {};
  return write_output(flags_.html, report::to_html(records, how.start, how.first));
}

Result<void> RunCommand::run() {
  (void)stop_on_interrupt();  // from here on Ctrl-C means: end well
  BREAKEVEN_TRY_VOID(check_output(flags_.html));
  BREAKEVEN_TRY(const std::size_t fewest, fewest_texts(flags_.study));
  BREAKEVEN_TRY(
      study_, prepare_study(flags_.study, context_,
                            {std::max(kMostTexts, fewest), std::size_t(limit("model/texts_min"))}));
  BREAKEVEN_TRY_VOID(read_quantities(
      command_, {{"--cpu-price", flags_.cpu_price, parse_price, study_->render.first.cpu_price},
                 {"--gpu-price", flags_.gpu_price, parse_price, study_->render.first.gpu_price}}));
  BREAKEVEN_TRY(Plan plan, plan_study(*study_));
  cells_ = std::move(plan.cells);
  if (flags_.study.count.empty()) {
    choose_texts(*study_, texts_of_a_pass(*study_, cells_, !flags_.no_memory, fewest));
  }
  for (const std::string& note : plan.notes) tell(note);
  BREAKEVEN_TRY(std::vector<record::Record> records, resume());
  study_->input.searched = records;
  const auto done = [&](const record::Cell& cell) {
    return is_done(cell, records, study_->input.p99_limit_s);
  };
  std::copy_if(cells_.begin(), cells_.end(), std::back_inserter(study_->input.cells),
               std::not_fn(done));
  if (flags_.study.dry_run) {
    print_plan(*study_, study_->input.cells, !flags_.no_memory);
    return {};
  }
  BREAKEVEN_TRY(
      record::Journal journal,
      open_journal(flags_.study.resume.empty() ? flags_.study.journal : flags_.study.resume));
  const std::string& path = journal.path();
  const std::size_t left = study_->input.cells.size();
  if (!records.empty()) {
    tell(fmt::format("{} of {} are in {} already", cells_.size() - left,
                     counted(cells_.size(), "cell"), path));
  }
  BREAKEVEN_TRY(study::Outcome outcome, measure(journal));
  records.insert(records.end(), outcome.records.begin(), outcome.records.end());
  records = in_order(cells_, records);
  BREAKEVEN_TRY_VOID(show(records, path));
  for (const std::string& note : outcome.notes) tell(note);
  if (outcome.interrupted) {
    tell(fmt::format("interrupted: {} of {} are in {}; go on with: {}",
                     std::count_if(cells_.begin(), cells_.end(), done),
                     counted(cells_.size(), "cell"), path, resume_command(path)));
  } else {
    tell(fmt::format("every sample is in {}", path));
  }
  context_.exit_code = exit_code_of(records, outcome.interrupted);
  return {};
}

Result<void> run_either(const RunFlags& flags, const CLI::App& command, Context& context) {
  const AgainstFlags& against = flags.against;
  const std::string& p99 = flags.study.paced.p99;
  if (!against.other.empty() && !p99.empty()) {
    return fail("flag/against", fmt::format("--p99 {} and --against exclude each other", p99),
                "compare two builds at a rate of your own: --rate");
  }
  if (!against.other.empty()) return run_against(against, flags.study, command, context);
  for (const auto& [flag, value] : {std::pair{"--turns", &against.turns},
                                    std::pair{"--minimum-effect", &against.minimum_effect}}) {
    if (value->empty()) continue;
    return fail("flag/against", fmt::format("{} {} means nothing without --against", flag, *value),
                "name the other build's program with --against");
  }
  return RunCommand(flags, command, context).run();
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "run", "Measures devices, precisions and batches on the same texts and gives a verdict");
  auto flags = std::make_shared<RunFlags>();
  add_study_flags(*command, flags->study);
  command->add_option("--mode", flags->study.mode,
                      "serial, stream, paced (default: serial,stream)");
  add_paced_flags(*command, flags->study.paced);
  add_against_flags(*command, flags->against);
  command->add_option("--count", flags->study.count,
                      fmt::format("Texts of a pass (default: the largest batch, or more, up to {}, "
                                  "when five rounds of them fit into --time)",
                                  kMostTexts));
  command->add_option(
      "--judge", flags->study.judge,
      "Texts whose outputs are compared with the judge's, timed or not (default: as "
      "many as parity takes, 1000, and a quarter of --time holds)");
  command->add_option("--time", flags->study.time,
                      "Time for everything, shared by the cells (default: 5m)");
  command->add_flag("--energy", flags->study.energy,
                    "Measures energy, too: visits take as long as its counters need");
  command->add_option("--resume", flags->study.resume,
                      "Journal of an interrupted run: its finished cells are not measured again");
  command->add_flag("--all", flags->all, "table: every table and note, not the answer alone");
  command->add_option("--cpu-price", flags->cpu_price,
                      "Price of a CPU machine an hour: with the next one, loads get an answer");
  command->add_option("--gpu-price", flags->gpu_price, "The same of a GPU machine");
  command->add_option("--html", flags->html, "File for the report as HTML, beside the other one");
  command->add_flag("--no-memory", flags->no_memory,
                    "Leaves out memory and cold start, which take a process for each cell");
  command->footer(
      "With --against as `breakeven compare`: 0 same or faster than the other build, 1 slower, 3 "
      "can't tell.\nElse: 0 measured; 1 a row's outputs break parity; 2 usage or environment; 3 "
      "can't "
      "tell:\nno row counts, or Ctrl-C came first (finished cells are kept, --resume goes on).");
  command->callback([flags, command, &context] {
    if (const auto result = run_either(*flags, *command, context); !result) {
      report_error(context, result.error());
      if (result.error().code == "parity/judge") context.exit_code = kResultSaysNo;
    }
  });
}

}  // namespace breakeven::cli
