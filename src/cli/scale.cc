// `breakeven scale`: does time grow linearly with the number of texts, and what does a larger batch
// change?
#include "study/scale.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>
#include <set>

#include "base/units.h"
#include "cli/journals.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/study.h"
#include "measure/parity.h"
#include "measure/thresholds.h"
#include "record/journal.h"
#include "report/report.h"
#include "session/study_input.h"

namespace breakeven::cli {
namespace {

constexpr std::size_t kSizes = 8;         // at least so many
constexpr std::size_t kJudgedTexts = 64;  // for parity; time is the question here
constexpr std::uint64_t kMaxSize = 10'000'000;

struct ScaleFlags {
  StudyFlags study;
  std::string sizes;
};

// Sizes in between, evenly on a logarithmic scale, until there are enough.
std::vector<std::uint64_t> filled(std::set<std::uint64_t> sizes, std::uint64_t multiple) {
  for (std::size_t count = kSizes; sizes.size() < kSizes && count < 4 * kSizes; ++count) {
    for (const std::uint64_t size :
         study::spread_sizes(*sizes.begin(), *sizes.rbegin(), multiple, count)) {
      if (sizes.size() < kSizes) sizes.insert(size);
    }
  }
  return {sizes.begin(), sizes.end()};
}

// "10..1000" or "10,100,1000".
Result<std::vector<std::uint64_t>> parse_sizes(const std::string& text) {
  const std::size_t dots = text.find("..");
  std::string list = text;
  if (dots != std::string::npos) list.replace(dots, 2, ",");
  BREAKEVEN_TRY(const std::vector<std::uint64_t> given, parse_numbers("--sizes", list, kMaxSize));
  const std::set<std::uint64_t> distinct(given.begin(), given.end());
  std::vector<std::uint64_t> sizes = filled(distinct, 1);
  if (sizes.size() < kSizes || sizes.back() < 4 * sizes.front()) {
    return fail("scale/sizes",
                fmt::format("--sizes {} spans too little to show how time grows", text),
                "let the largest be several times the smallest, for example 10..1000");
  }
  return sizes;
}

// Roughly, for all cells, before anything was measured.
double seconds_a_text(const Study& study, const std::vector<record::Cell>& cells) {
  const study::Input& input = study.input;
  double seconds = 0;
  for (const record::Cell& cell : cells) {
    seconds += study::guess_pass_s(cell, input.prototype.instruction_set, input.work, input.texts) /
               static_cast<double>(input.texts.size());
  }
  return seconds;
}

// So large that warm-up and a few rounds fit into the time; never fewer than eight batches.
std::vector<std::uint64_t> default_sizes(const Study& study,
                                         const std::vector<record::Cell>& cells) {
  constexpr double kPassesOfTheLargest = 10;  // a warm-up, and four rounds of about 2.2
  std::uint64_t widest = 1;
  for (const record::Cell& cell : cells) widest = std::max(widest, cell.batch);
  const double fits = study.time_s / (kPassesOfTheLargest * seconds_a_text(study, cells));
  const auto most = static_cast<std::uint64_t>(std::min(fits, 4096.0));
  return study::spread_sizes(widest, std::max(most, 8 * widest), widest, kSizes);
}

// Seconds of a warm-up and the fewest rounds, which are run whatever --time says.
double least_seconds(const Study& study, const std::vector<record::Cell>& cells,
                     const std::vector<std::uint64_t>& sizes) {
  const std::uint64_t a_round = std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
  const std::uint64_t texts = sizes.back() + study::ScaleInput{}.min_rounds * a_round;
  return seconds_a_text(study, cells) * static_cast<double>(texts);
}

Result<void> order_texts(Study& study, std::uint64_t max_length, study::ScaleInput& scale) {
  study::Input& input = study.input;
  const auto scratch = study.session->native_model()->tokenizer->make_scratch();
  text::EncodeOptions options;
  options.max_length = max_length;
  std::vector<std::uint32_t> lengths;
  std::vector<std::int32_t> ids;
  for (const Text& text : input.texts) {
    ids.clear();
    study.session->native_model()->tokenizer->encode(text, options, *scratch, ids);
    lengths.push_back(static_cast<std::uint32_t>(ids.size()));
  }
  scale.base = input;
  for (std::size_t i = 0; const std::size_t from : study::length_matched_order(lengths)) {
    scale.base.texts[i] = input.texts[from];
    if (!input.labels.empty()) scale.base.labels[i] = input.labels[from];
    scale.base.originals[i] = input.originals[from];
    scale.tokens.push_back(lengths[from]);
    ++i;
  }
  scale.base.timed = std::min(kJudgedTexts, input.texts.size());
  return {};
}

int exit_code_of(const study::Outcome& outcome) {
  bool unsure = outcome.interrupted || outcome.records.empty();
  for (const record::Record& record : outcome.records) {
    if (record.scaling->outcome == record::Linearity::not_linear) return kResultSaysNo;
    if (measure::breaks_parity(record)) return kResultSaysNo;
    unsure |= record.scaling->outcome != record::Linearity::linear || measure::is_invalid(record);
  }
  return unsure ? kCannotTell : kOk;
}

// One precision unless asked for more: the question is how time grows.
void choose_precision(StudyFlags& flags) {
  if (flags.precision != "fastest") return;
  Precision fastest = Precision::fp32;
  // A device that cannot be had is told when the study is prepared.
  if (const auto selected = ops::select_devices(flags.device, ops::list_gpus())) {
    const auto fast = engine::native_precisions(selected->devices.front(), flags.instruction_set);
    for (const Precision precision : {Precision::fp16, Precision::bf16}) {
      if (std::find(fast.begin(), fast.end(), precision) != fast.end()) fastest = precision;
    }
  }
  flags.precision = to_string(fastest);
}

// A seconds-a-text guess needs texts; the sizes decide how many are needed.
constexpr std::size_t kTextsForGuess = 256;

Result<void> run_scale_command(ScaleFlags flags, Context& context) {
  choose_precision(flags.study);
  std::vector<std::uint64_t> sizes;
  std::size_t needed = kTextsForGuess;
  if (!flags.sizes.empty()) {
    BREAKEVEN_TRY(sizes, parse_sizes(flags.sizes));
    needed = sizes.back();
  }
  flags.study.mode = to_string(Mode::serial);
  BREAKEVEN_TRY(std::unique_ptr<Study> study,
                prepare_study(flags.study, context, {needed, needed}));
  if (study->session->native_model() == nullptr) {
    return fail(
        "scale/model",
        fmt::format("the native engine does not run '{}', and its tokenizer is what matches "
                    "the sizes in tokens",
                    study->session->facts().name),
        "use `breakeven run --runtime pytorch` for this model");
  }
  BREAKEVEN_TRY(const Plan plan, plan_study(*study));
  for (const std::string& note : plan.notes) tell(note);
  if (study->axes.max_lengths.size() > 1) {
    return fail("flag/number", fmt::format("--max-length {} is a list", flags.study.max_length),
                "give one: the sizes are matched in tokens at that length");
  }
  if (sizes.empty()) {
    sizes = default_sizes(*study, plan.cells);
    BREAKEVEN_TRY_VOID(read_study_texts(*study, context, {sizes.back(), sizes.back()}));
  }
  if (study->input.texts.size() < sizes.back()) {
    return fail("scale/texts",
                fmt::format("{} texts are asked for, '{}' has {}", sizes.back(),
                            study->reviews.name, study->input.texts.size()),
                fmt::format("give --sizes up to {}", study->input.texts.size()));
  }
  const double least_s = least_seconds(*study, plan.cells, sizes);
  if (least_s > study->time_s) {
    tell(
        fmt::format("a warm-up and {} rounds take roughly {}, whatever --time {} says: give "
                    "smaller --sizes, fewer cells, or time",
                    study::ScaleInput{}.min_rounds, format_seconds(least_s), flags.study.time));
  }
  if (flags.study.dry_run) {
    return write_output(
        "", fmt::format("{} configurations at sizes {}, about {}\n", plan.cells.size(),
                        fmt::join(sizes, ", "), format_seconds(std::max(least_s, study->time_s))));
  }
  study::ScaleInput input;
  BREAKEVEN_TRY_VOID(order_texts(*study, study->axes.max_lengths.front(), input));
  input.cells = plan.cells;
  input.sizes = sizes;
  BREAKEVEN_TRY(record::Journal journal, open_journal(flags.study.journal));
  ProgressLine progress;
  study::Tools tools = session::make_tools(*study->session, study->gpus);
  tools.keep = [&](const record::Record& record) { return journal.append(record); };
  tools.progress = &progress;
  BREAKEVEN_TRY(const study::Outcome outcome, study::run_scale(input, tools));
  progress.clear();
  if (!outcome.records.empty()) {
    BREAKEVEN_TRY(const std::string text, report::render(outcome.records, study->render));
    BREAKEVEN_TRY_VOID(write_output(flags.study.output, text));
  }
  tell(fmt::format("{}records are in {}", outcome.interrupted ? "interrupted; finished " : "",
                   journal.path()));
  context.exit_code = exit_code_of(outcome);
  return {};
}

}  // namespace

void add_scale(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "scale", "Is the time linear in the number of texts? What does a larger batch change?");
  auto flags = std::make_shared<ScaleFlags>();
  flags->study.precision = "fastest";
  flags->study.device = "auto";
  add_study_flags(*command, flags->study);
  command->add_option(
      "--sizes", flags->sizes,
      "Numbers of texts: 10..1000 or 10,100,1000 (filled up to eight; default: what "
      "fits into --time)");
  command->add_option("--time", flags->study.time,
                      "Time for all rounds, shared by the configurations (default: 5m)");
  command->footer("Exit codes: 0 linear; 1 not linear; 2 usage or environment; 3 can't tell.");
  command->callback([flags, &context] {
    if (const auto result = run_scale_command(*flags, context); !result) {
      report_error(context, result.error());
    }
  });
}

}  // namespace breakeven::cli
