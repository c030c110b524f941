#include "cli/study_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "cli/quantities.h"
#include "engine/placement.h"
#include "measure/statistics.h"
#include "runtimes/pool.h"

namespace breakeven::cli {
namespace {

std::vector<std::string> known_names() {
  std::vector<std::string> names = {Runtime{}.name};
  for (const std::string_view name : runtimes::known_runtimes()) names.emplace_back(name);
  return names;
}

}  // namespace

void add_study_flags(CLI::App& command, StudyFlags& flags) {
  command.add_option(
      "--model", flags.model,
      "Folder, name in the Hugging Face cache, or 'builtin' (default: the DistilBERT "
      "sentiment model if it is in the cache, else 'builtin')");
  command.add_option("--texts", flags.texts,
                     "builtin, imdb, a .jsonl, .csv or .txt file, compressed or not, a folder or "
                     "archive of aclImdb, or - (default: builtin)");
  add_reading_flags(command, flags.reading);
  command.add_option("--label-field", flags.label_field,
                     "Field of the label, which every text must have ('': no labels are read; "
                     "default: label, where a text has it)");
  command.add_option(
      "--label-map", flags.label_map,
      "What the texts' labels are called by the model, as in \"1=1 star,2=2 stars\", or "
      "a JSON file {\"1\": \"1 star\"}");
  command.add_option("--split", flags.split, "Split of IMDB (default: test)");
  command.add_option("--device", flags.device,
                     "all, auto, cpu, cuda, cuda:I; cuda:0+cuda:1 or cuda:all: one stream on "
                     "several (default: all)");
  command.add_option(
      "--precision", flags.precision,
      "fp32, bf16, fp16, int8, fp32x3, fp8 (GPUs from sm_89), or all: what a device runs fast, "
      "without fp32x3 and fp8");
  command.add_option("--batch", flags.batch, "Texts in a batch (default: 1,32)");
  command.add_option("--threads", flags.threads,
                     "CPU threads, 'all' = one a usable core (default: all)");
  command.add_option(
      "--max-length", flags.max_length,
      "Tokens at which a text is cut (default: 512); never more than the model takes");
  command.add_option("--padding", flags.padding,
                     "none, longest, max_length (default: each runtime's own; native: none)");
  command.add_option("--runtime", flags.runtime,
                     "native, pytorch, onnxruntime, openvino, ctranslate2, with a way of using it "
                     "as in pytorch:tuned, or all (default: native)");
  command.add_option("--python", flags.python,
                     "NAME=PATH: interpreter or environment of a runtime (default: what `breakeven "
                     "runtimes setup` made)");
  command.add_option("--instruction-set", flags.instruction_set,
                     "Of the CPU, such as avx2 (default: the best here, up to BREAKEVEN_ISA)");
  command.add_option("--seed", flags.seed, "Order of texts and cells (default: 1)");
  command.add_option("--format", flags.format,
                     "table, md, csv, json, jsonl or html (default: table)");
  command.add_option("-o,--output", flags.output, "File for the report (default: stdout)");
  command.add_option("--journal", flags.journal,
                     "File that records are appended to (default: breakeven-<time>.jsonl)");
  command.add_flag("--dry-run", flags.dry_run,
                   "Lists the cells, the estimated time and how many rounds fit into it");
}

void add_paced_flags(CLI::App& command, PacedFlags& flags) {
  command.add_option("--rate", flags.rate,
                     "Paced: requests a second, as in 1,10,100 or 600/min; a row for each");
  command.add_option("--p99", flags.p99,
                     "Paced: searches the highest rate at which 99 of 100 requests are answered "
                     "within this time, as in 50ms");
  command.add_option("--arrivals", flags.arrivals, "Paced: constant or poisson (default: poisson)");
  command.add_option("--max-batch", flags.max_batch,
                     "Paced: texts that the batcher puts into a batch at most (default: 32)");
  command.add_option("--max-wait", flags.max_wait,
                     "Paced: how long a batch waits to fill, as in 5ms (default: 0ms, whatever is "
                     "there goes at once)");
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (true) {
    const std::size_t comma = text.find(',', at);
    parts.push_back(text.substr(at, comma == std::string::npos ? comma : comma - at));
    if (comma == std::string::npos) return parts;
    at = comma + 1;
  }
}

Result<std::vector<std::uint64_t>> parse_numbers(const std::string& flag, const std::string& text,
                                                 std::uint64_t most) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& part : split_list(text)) {
    BREAKEVEN_TRY(const std::uint64_t number, parse_number(flag, part, 1, most));
    numbers.push_back(number);
  }
  return numbers;
}

// None twice, and none over `limit`.
Result<std::vector<std::uint64_t>> parse_max_lengths(const std::string& text, std::size_t limit) {
  if (text.empty()) return std::vector{cut_length({}, limit)};
  std::vector<std::uint64_t> lengths;
  BREAKEVEN_TRY(const auto asked, parse_numbers("--max-length", text, kMaxLength));
  for (const std::uint64_t each : asked) {
    if (each < 3) {
      return fail("flag/number", fmt::format("--max-length {} holds no word", each),
                  "[CLS] and [SEP] count too: give 3 or more");
    }
    const std::uint64_t length = cut_length(each, limit);
    if (std::find(lengths.begin(), lengths.end(), length) == lengths.end())
      lengths.push_back(length);
  }
  return lengths;
}

Result<std::vector<unsigned>> parse_threads(const std::string& text, unsigned all) {
  std::vector<unsigned> threads;
  for (const std::string& part : split_list(text)) {
    if (part == "all") {
      threads.push_back(all);
      continue;
    }
    auto number = parse_numbers("--threads", part, all);
    if (!number) {
      return fail("flag/threads", fmt::format("--threads '{}' does not work", part),
                  fmt::format("give 1 to {} (the CPUs that this process may use), or all", all));
    }
    threads.push_back(static_cast<unsigned>(number->front()));
  }
  return threads;
}

Result<std::vector<double>> parse_rates(const std::string& text) {
  std::vector<double> rates;
  for (const std::string& part : split_list(text)) {
    const bool has_unit = part.find('/') != std::string::npos;
    auto rate = parse_load("--rate", has_unit ? part : part + "/s");
    if (!rate) {
      return fail("flag/quantity", fmt::format("--rate '{}' is not a rate above 0", part),
                  "write for example 1,10,100 or 600/min");
    }
    rates.push_back(*rate);
  }
  return rates;
}

Result<Arrivals> parse_arrivals(const std::string& text) {
  BREAKEVEN_TRY(const auto arrivals, parse_choices<Arrivals>("--arrivals", text));
  if (arrivals.size() == 1 && arrivals.front() != Arrivals::trace) return arrivals.front();
  return fail("flag/choice", fmt::format("--arrivals '{}' is not one of two", text),
              "give constant or poisson; `breakeven load --trace FILE` plays a trace");
}

// Empty = "all".
Result<std::vector<Precision>> parse_precisions(const std::string& text) {
  const std::vector<std::string> parts = split_list(text);
  std::string named;
  for (const std::string& part : parts) {
    if (part != "all") named += (named.empty() ? "" : ",") + part;
  }
  const bool all = std::find(parts.begin(), parts.end(), "all") != parts.end();
  if (all && named.empty()) return std::vector<Precision>{};
  BREAKEVEN_TRY(auto precisions, parse_choices<Precision>("--precision", named, ", all"));
  if (all) precisions.clear();
  return precisions;
}

Result<std::vector<session::RuntimeChoice>> parse_runtimes(const std::string& text) {
  std::vector<session::RuntimeChoice> choices;
  std::vector<std::string> known = known_names();
  if (text == "all") {
    for (std::string& name : known) choices.push_back({std::move(name), ""});
    return choices;
  }
  std::size_t at = 0;
  while (true) {
    const std::size_t comma = text.find(',', at);
    const std::string part = text.substr(at, comma == std::string::npos ? comma : comma - at);
    const std::size_t colon = part.find(':');
    const session::RuntimeChoice choice{part.substr(0, colon),
                                        colon == std::string::npos ? "" : part.substr(colon + 1)};
    const bool empty_variant = colon != std::string::npos && choice.variant.empty();
    const bool native_variant = choice.is_native() && colon != std::string::npos;
    // The null runtime measures the harness, not a model: known by name, listed nowhere.
    const bool is_known =
        choice.name == "null" || std::find(known.begin(), known.end(), choice.name) != known.end();
    if (!is_known || empty_variant || native_variant) {
      return fail("flag/choice", fmt::format("--runtime '{}' is not known", part),
                  fmt::format("choose from {}, all; a way of using one as in pytorch:tuned, "
                              "every way as in pytorch:all",
                              fmt::join(known, ", ")));
    }
    if (std::find(choices.begin(), choices.end(), choice) == choices.end()) {
      choices.push_back(choice);
    }
    if (comma == std::string::npos) return choices;
    at = comma + 1;
  }
}

namespace {

// Fills the axes' paced part; axes.modes must be set.
Result<void> apply_paced(const PacedFlags& flags, study::Axes& axes) {
  const bool paced =
      std::find(axes.modes.begin(), axes.modes.end(), Mode::paced) != axes.modes.end();
  const std::pair<const char*, const std::string*> given[] = {{"--rate", &flags.rate},
                                                              {"--p99", &flags.p99},
                                                              {"--arrivals", &flags.arrivals},
                                                              {"--max-batch", &flags.max_batch},
                                                              {"--max-wait", &flags.max_wait}};
  for (const auto& [flag, text] : given) {
    if (paced || text->empty()) continue;
    return fail("flag/mode", fmt::format("{} {} means nothing without paced mode", flag, *text),
                "add --mode paced");
  }
  if (!paced) return {};
  if (flags.rate.empty() == flags.p99.empty()) {
    return fail("flag/mode",
                flags.rate.empty() ? "--mode paced needs --p99 or --rate"
                                   : fmt::format("--rate {} and --p99 {} exclude each other",
                                                 flags.rate, flags.p99),
                "give for example --p99 50ms, which searches the highest rate that keeps it, or "
                "--rate 1,10,100");
  }
  // No rate: it is searched.
  if (!flags.p99.empty()) axes.rates = {0};
  if (!flags.rate.empty()) {
    BREAKEVEN_TRY(axes.rates, parse_rates(flags.rate));
  }
  if (!flags.max_batch.empty()) {
    BREAKEVEN_TRY(axes.paced_batches, parse_numbers("--max-batch", flags.max_batch, kMaxBatch));
  }
  if (!flags.max_wait.empty()) {
    BREAKEVEN_TRY(axes.max_wait_s, parse_wait("--max-wait", flags.max_wait));
  }
  if (!flags.arrivals.empty()) {
    BREAKEVEN_TRY(axes.arrivals, parse_arrivals(flags.arrivals));
  }
  return {};
}

}  // namespace

Result<study::Axes> parse_axes(const StudyFlags& flags, std::size_t limit) {
  study::Axes axes;
  BREAKEVEN_TRY(axes.batches, parse_numbers("--batch", flags.batch, kMaxBatch));
  BREAKEVEN_TRY(axes.threads, parse_threads(flags.threads, engine::default_threads()));
  BREAKEVEN_TRY(axes.max_lengths, parse_max_lengths(flags.max_length, limit));
  if (!flags.padding.empty()) {
    BREAKEVEN_TRY(axes.paddings, parse_choices<Padding>("--padding", flags.padding));
  }
  BREAKEVEN_TRY(axes.modes, parse_choices<Mode>("--mode", flags.mode));
  BREAKEVEN_TRY(axes.precisions, parse_precisions(flags.precision));
  BREAKEVEN_TRY_VOID(apply_paced(flags.paced, axes));
  return axes;
}

Result<void> check_paced_time(const std::vector<record::Cell>& cells, double time_s) {
  if (cells.empty()) return {};
  // What is left of a cell's share after warming up, draining, and the part that does not count.
  constexpr double kUseful = 0.6;
  const double window_s = kUseful * time_s / static_cast<double>(cells.size());
  const auto needed = static_cast<double>(measure::samples_needed(0.5));
  for (const record::Cell& cell : cells) {
    const bool given = cell.mode == Mode::paced && cell.rate_per_s > 0;
    if (!given || cell.rate_per_s * window_s >= needed) continue;
    const double wanted_s =
        std::ceil(needed / cell.rate_per_s / kUseful * static_cast<double>(cells.size()));
    return fail("flag/rate",
                fmt::format("--rate {:g}: only {:.0f} requests fit into {} of paced load, and a "
                            "median takes {:.0f}",
                            cell.rate_per_s, std::floor(cell.rate_per_s * window_s),
                            format_seconds(window_s), needed),
                fmt::format("give --time {:.0f}s or more, or ask for fewer rows (--precision, "
                            "--rate, --max-batch); p99 takes {} requests a row",
                            wanted_s, measure::samples_needed(0.99)));
  }
  return {};
}

Result<TextCounts> parse_counts(const StudyFlags& flags, TextCounts defaults) {
  constexpr std::uint64_t kMaxTexts = 10'000'000;
  TextCounts counts = defaults;
  if (!flags.count.empty()) {
    BREAKEVEN_TRY(const auto numbers, parse_numbers("--count", flags.count, kMaxTexts));
    counts.timed = numbers.front();
  }
  counts.judged = std::max(counts.timed, counts.judged);
  if (!flags.judge.empty()) {
    BREAKEVEN_TRY(const auto numbers, parse_numbers("--judge", flags.judge, kMaxTexts));
    counts.judged = std::max(counts.timed, numbers.front());
  }
  return counts;
}

Result<std::size_t> fewest_texts(const StudyFlags& flags) {
  constexpr std::uint64_t kLengths = 16;
  BREAKEVEN_TRY(const auto batches, parse_numbers("--batch", flags.batch, kMaxBatch));
  return std::max(kLengths, *std::max_element(batches.begin(), batches.end()));
}

Result<data::SourceOptions> text_source(const StudyFlags& flags) {
  BREAKEVEN_TRY(data::SourceOptions options, source_options(flags.texts, flags.reading));
  BREAKEVEN_TRY(options.label_map, data::parse_label_map(flags.label_map));
  if (flags.label_field) options.label_field = *flags.label_field;
  options.label_required = flags.label_field && !flags.label_field->empty();
  options.split = flags.split;
  options.seed = flags.seed;
  return options;
}

}  // namespace breakeven::cli
