#include "cli/study_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/units.h"
#include "cli/text_options.h"
#include "engine/export.h"
#include "engine/placement.h"
#include "measure/environment.h"
#include "measure/parity.h"
#include "runtimes/environment.h"

namespace breakeven::cli {
namespace {

constexpr std::uint64_t kMaxTexts = 10'000'000;

std::string make_run_id() {
  return fmt::format("{}-{}", measure::utc_now(), static_cast<long>(getpid()));
}

Result<study::Axes> parse_axes(const StudyFlags& flags, std::size_t positions,
                               const std::vector<std::string>& devices) {
  study::Axes axes;
  axes.devices = devices;
  BREAKEVEN_TRY(axes.batches, parse_numbers("--batch", flags.batch, kMaxBatch));
  BREAKEVEN_TRY(axes.threads, parse_threads(flags.threads, engine::default_threads()));
  BREAKEVEN_TRY(axes.max_lengths, parse_numbers("--max-length", flags.max_length, positions));
  if (!flags.padding.empty()) {
    BREAKEVEN_TRY(axes.paddings,
                  parse_choices("--padding", flags.padding, {"none", "longest", "max_length"}));
  }
  BREAKEVEN_TRY(axes.modes, parse_choices("--mode", flags.mode, {"serial", "stream", "paced"}));
  BREAKEVEN_TRY_VOID(apply_paced(flags.paced, axes));
  for (const std::uint64_t length : axes.max_lengths) {
    if (length < 3) {
      return fail("flag/number", fmt::format("--max-length {} holds no word", length),
                  "[CLS] and [SEP] count too: give 3 or more");
    }
  }
  return axes;
}

Result<void> read_texts(Study& study, std::size_t default_count) {
  const StudyFlags& flags = study.flags;
  std::uint64_t count = default_count;
  if (!flags.count.empty()) {
    BREAKEVEN_TRY(const auto numbers, parse_numbers("--count", flags.count, kMaxTexts));
    count = numbers.front();
  }
  std::uint64_t judged = count;
  if (!flags.judge.empty()) {
    BREAKEVEN_TRY(const auto numbers, parse_numbers("--judge", flags.judge, kMaxTexts));
    judged = std::max(count, numbers.front());
  }
  data::SourceOptions options;
  options.texts = flags.texts;
  options.text_field = flags.text_field;
  options.label_field = flags.label_field;
  options.split = flags.split;
  options.labels = study.facts.labels;
  options.seed = flags.seed;
  BREAKEVEN_TRY(study.reviews, data::read_reviews(options, judged));
  study::Input& input = study.input;
  if (study.reviews.reviews.empty()) {
    return fail("texts/empty", fmt::format("'{}' holds no text", flags.texts),
                "give a file with at least one review, or leave out --texts for the built-in ones");
  }
  bool any_label = false;
  for (const data::Review& review : study.reviews.reviews) {
    input.texts.emplace_back(review.text);
    input.labels.push_back(review.label.value_or(-1));
    input.originals.push_back(review.originals);
    any_label |= review.label.has_value();
  }
  if (!any_label) input.labels.clear();
  input.timed = std::min<std::size_t>(count, input.texts.size());
  return {};
}

record::Record make_prototype(const Study& study, const Context& context) {
  record::Record record;
  record.run_id = make_run_id();
  record.command = context.command;
  record.model_name = study.facts.name;
  record.model_hash = study.facts.hash;
  record.machine = measure::read_machine();
  record.instruction_set = study.flags.instruction_set.empty() ? record.machine.instruction_set
                                                               : study.flags.instruction_set;
  record.machine.more["gpu_note"] = study.device_note;
  record.build = measure::read_build();
  record.texts.name = study.reviews.name;
  record.texts.note = study.reviews.note;
  record.texts.hash = measure::hash_texts(std::span(study.input.texts).first(study.input.timed));
  return record;
}

// Only when another runtime is asked for.
Result<void> make_pool(Study& study) {
  runtimes::PoolOptions options;
  BREAKEVEN_TRY(options.interpreters, runtimes::parse_interpreters(study.flags.python));
  const bool others = std::any_of(study.runtimes.begin(), study.runtimes.end(),
                                  [](const auto& choice) { return choice.runtime != "native"; });
  if (!others) return {};
  options.stop = &stop_on_interrupt();
  options.progress = [&study](std::string_view what, double done) {
    if (study.loading) study.loading(what, done);
  };
  study.pool = std::make_unique<runtimes::Pool>(std::move(options));
  return {};
}

// The files that decide what a model computes, for a model that only others can load.
Result<std::string> hash_folder(const std::string& folder) {
  std::vector<std::string> paths;
  BREAKEVEN_TRY(const auto entries, list_folder(folder));
  for (const std::filesystem::path& entry : entries) {
    const std::string extension = entry.extension().string();
    if (extension == ".json" || extension == ".safetensors" || extension == ".bin" ||
        extension == ".txt") {
      paths.push_back(entry.string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return measure::hash_files(paths);
}

// Refused by the native engine, and nobody asked for it: the others may still run it.
Result<void> load_model(Study& study) {
  auto loaded = engine::load_model({study.flags.model});
  ModelFacts& facts = study.facts;
  if (loaded) {
    study.model = *std::move(loaded);
    const model::EncoderPlan& plan = study.model->checkpoint.plan;
    facts = {study.model->name,
             study.model->checkpoint.content_hash(),
             study.model->folder,
             plan.labels,
             engine::problem_of(plan),
             plan.positions,
             work_of(plan)};
    return {};
  }
  if (includes_native(study.runtimes)) {
    Error error = std::move(loaded).error();
    if (study.pool) error.hint += "; or leave the native engine out, as in --runtime pytorch";
    return tl::unexpected<Error>(std::move(error));
  }
  const auto folder = engine::find_folder(study.flags.model);
  if (!folder || !is_there(*folder + "/config.json")) {
    return propagate(std::move(loaded));
  }
  facts.name = study.flags.model;
  facts.folder = *folder;
  BREAKEVEN_TRY(facts.hash, hash_folder(*folder));
  // For the first guess of a pass's time only: what ran corrects it.
  facts.work = {85e6, 6 * 4 * 768};
  study.notes.push_back(
      fmt::format("the native engine does not run this model ({})", loaded.error().message));
  return {};
}

// What each runtime can do here, and who judges.
Result<void> find_runtimes(Study& study) {
  if (!study.pool) {
    study.axes.runtimes = {native_axis(study.devices)};
    return {};
  }
  BREAKEVEN_TRY(RuntimeAxes found, find_axes(study.runtimes, study.devices, *study.pool));
  study.axes.runtimes = std::move(found.axes);
  for (std::string& note : found.notes) study.notes.push_back(std::move(note));
  auto other = choose_other_judge(study.axes.runtimes);
  if (study.model) {
    study.input.other_judge = std::move(other);
    return {};
  }
  if (!other) {
    return fail("runtime/no-judge",
                "none of these runtimes has fp32 on the CPU, which judges the outputs",
                "add --runtime pytorch");
  }
  study.input.judge = *std::move(other);
  return {};
}

// Labels and problem of a model that only others can load, from the one that judges.
Result<void> ask_foreign_model(Study& study) {
  if (study.model) return {};
  study::Spec spec = study.input.judge;
  spec.threads = engine::default_threads();
  spec.max_length = study.axes.max_lengths.front();
  spec.max_batch = 8;  // the judge's: its worker is the one that will judge
  BREAKEVEN_TRY(const std::unique_ptr<Classifier> judge, make_classifier(study, spec));
  const ClassifierInfo info = judge->info();
  study.facts.labels = info.labels;
  study.facts.problem = info.problem;
  return {};
}

std::string describe(const study::RuntimeAxis& axis) {
  std::vector<std::string> parts;
  for (const study::Ability& ability : axis.abilities) {
    parts.push_back(fmt::format("{} {} padded {}", ability.device, ability.precision,
                                fmt::join(ability.paddings, "/")));
  }
  return parts.empty() ? "nothing on these devices"
                       : fmt::format("can: {}", fmt::join(parts, ", "));
}

// A precision that is named must be one that some runtime runs on each device.
Result<void> check_precisions(const Study& study) {
  for (const std::string& device : study.axes.devices) {
    for (const std::string& precision : study.axes.precisions) {
      std::vector<std::string> can;
      for (const study::RuntimeAxis& axis : study.axes.runtimes) {
        for (const study::Ability& ability : axis.abilities) {
          if (ability.device != device) continue;
          if (std::find(can.begin(), can.end(), ability.precision) == can.end()) {
            can.push_back(ability.precision);
          }
        }
      }
      if (std::find(can.begin(), can.end(), precision) != can.end()) continue;
      return fail("flag/precision", fmt::format("{} does not run {} fast", device, precision),
                  fmt::format("it runs {}", fmt::join(can, ", ")));
    }
  }
  return {};
}

}  // namespace

void add_study_flags(CLI::App& command, StudyFlags& flags) {
  command.add_option(
      "--model", flags.model,
      "Folder, name in the Hugging Face cache, or 'builtin' (default: the DistilBERT "
      "sentiment model if it is in the cache, else 'builtin')");
  command.add_option("--texts", flags.texts,
                     "builtin, imdb, a .jsonl, .csv or .txt file, a folder or archive of aclImdb, "
                     "or - (default: builtin)");
  command.add_option("--text-field", flags.text_field, "Field of the text (default: text)");
  command.add_option("--label-field", flags.label_field, "Field of the label (default: label)");
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
  command.add_option("--max-length", flags.max_length,
                     "Tokens at which a text is cut (default: 512)");
  command.add_option("--padding", flags.padding,
                     "none, longest, max_length (default: each runtime's own; native: none)");
  command.add_option("--runtime", flags.runtime,
                     "native, pytorch, onnxruntime, openvino, ctranslate2, with a way of using it "
                     "as in pytorch:tuned, or all (default: native)");
  command.add_option("--python", flags.python,
                     "NAME=PATH: interpreter or environment of a runtime (default: what `breakeven "
                     "runtimes setup` made)");
  command.add_option("--instruction-set", flags.instruction_set,
                     "Forces one, such as avx2 (default: the best here)");
  command.add_option("--seed", flags.seed, "Order of texts and cells (default: 1)");
  command.add_option("--format", flags.format,
                     "table, md, csv, json, jsonl or html (default: table)");
  command.add_option("-o,--output", flags.output, "File for the report (default: stdout)");
  command.add_option("--journal", flags.journal,
                     "File that records are appended to (default: breakeven-<time>.jsonl)");
  command.add_flag("--dry-run", flags.dry_run, "Lists the cells and the estimated time");
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

Result<std::vector<std::string>> parse_choices(const std::string& flag, const std::string& text,
                                               const std::vector<std::string>& known) {
  std::vector<std::string> parts = split_list(text);
  for (const std::string& part : parts) {
    if (std::find(known.begin(), known.end(), part) == known.end()) {
      return fail("flag/choice", fmt::format("{} '{}' is not known", flag, part),
                  fmt::format("choose from {}", fmt::join(known, ", ")));
    }
  }
  return parts;
}

Result<std::unique_ptr<Study>> prepare_study(const StudyFlags& flags, const Context& context,
                                             std::size_t count) {
  auto study = std::make_unique<Study>();
  study->flags = flags;
  BREAKEVEN_TRY(study->render.format, report::parse_format(flags.format));
  BREAKEVEN_TRY_VOID(check_output(flags.output));
  BREAKEVEN_TRY(study->input.time_s, parse_duration(flags.time));
  study->gpus = ops::list_gpus();
  BREAKEVEN_TRY(ops::DeviceSelection selection, ops::select_devices(flags.device, study->gpus));
  study->devices = std::move(selection.devices);
  study->device_note = std::move(selection.note);
  BREAKEVEN_TRY(study->runtimes, parse_runtimes(flags.runtime));
  BREAKEVEN_TRY_VOID(make_pool(*study));
  BREAKEVEN_TRY_VOID(load_model(*study));
  BREAKEVEN_TRY(study->axes, parse_axes(flags, study->facts.positions, study->devices));
  BREAKEVEN_TRY_VOID(find_runtimes(*study));
  BREAKEVEN_TRY_VOID(ask_foreign_model(*study));
  BREAKEVEN_TRY_VOID(read_texts(*study, count));
  study->input.problem = study->facts.problem;
  study->input.seed = flags.seed;
  study->input.work = study->facts.work;
  study->input.prototype = make_prototype(*study, context);
  if (auto cache = cache_folder()) study->input.cache = *cache + "/judge";
  const bool to_terminal = flags.output.empty() || flags.output == "-";
  study->render.colour =
      to_terminal && isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  return study;
}

Result<std::vector<record::Cell>> make_cells(Study& study) {
  const std::vector<std::string> known = {"fp32", "fp32x3", "bf16", "fp16", "int8", "fp8", "all"};
  BREAKEVEN_TRY(const std::vector<std::string> asked,
                parse_choices("--precision", study.flags.precision, known));
  const bool all = std::find(asked.begin(), asked.end(), "all") != asked.end();
  study.axes.precisions = all ? std::vector<std::string>{"fp32", "bf16", "fp16", "int8"} : asked;
  if (!all) BREAKEVEN_TRY_VOID(check_precisions(study));
  std::vector<record::Cell> cells = study::plan_cells(study.axes);
  for (const study::RuntimeAxis& axis : study.axes.runtimes) {
    const bool any = std::any_of(cells.begin(), cells.end(), [&](const record::Cell& cell) {
      return cell.runtime == axis.runtime && cell.variant == axis.variant;
    });
    if (any) continue;
    study.notes.push_back(fmt::format("{}{}{} has no row: it cannot do what is asked ({})",
                                      axis.runtime, axis.variant.empty() ? "" : ":", axis.variant,
                                      describe(axis)));
  }
  if (cells.empty()) {
    return fail("flag/choice", "no runtime can do what is asked",
                fmt::format("{}", fmt::join(study.notes, "; ")));
  }
  BREAKEVEN_TRY_VOID(check_paced_time(cells, study.input.time_s));
  return cells;
}

Result<runtimes::WorkerSpec> worker_spec(const Study& study, const study::Spec& spec) {
  runtimes::WorkerSpec worker;
  worker.runtime = spec.runtime;
  worker.variant = spec.variant;
  worker.device = spec.device;
  worker.precision = spec.precision;
  worker.padding = spec.padding;
  worker.threads = spec.threads;
  worker.max_length = spec.max_length;
  worker.max_batch = spec.max_batch;
  worker.model_folder = study.facts.folder;
  if (study.model) {
    BREAKEVEN_TRY(const std::string cache, cache_folder());
    BREAKEVEN_TRY(worker.model_folder, engine::folder_for_others(*study.model, cache + "/models"));
  }
  return worker;
}

Result<std::unique_ptr<Classifier>> make_classifier(const Study& study, const study::Spec& spec) {
  if (spec.runtime != "native") {
    BREAKEVEN_TRY(const runtimes::WorkerSpec worker, worker_spec(study, spec));
    return study.pool->make(worker);
  }
  engine::NativeOptions options;
  options.device = spec.device;
  BREAKEVEN_TRY(options.precision, ops::parse_precision(spec.precision));
  options.threads = spec.threads;
  options.max_length = spec.max_length;
  options.max_batch = spec.max_batch;
  BREAKEVEN_TRY(options.padding, parse_padding(spec.padding));
  options.instruction_set = study.flags.instruction_set;
  options.reference = spec.reference;
  return engine::make_native(study.model, options);
}

study::Work work_of(const model::EncoderPlan& plan) {
  const auto hidden = static_cast<double>(plan.hidden);
  const auto intermediate = static_cast<double>(plan.intermediate);
  // The last layer works on the [CLS] rows, but needs keys and values of all.
  const double whole = static_cast<double>(plan.layers) - 1;
  study::Work work;
  work.flops_per_token =
      whole * 2 * (4 * hidden * hidden + 2 * hidden * intermediate) + 4 * hidden * hidden;
  work.flops_per_token_pair = whole * 4 * hidden;
  return work;
}

}  // namespace breakeven::cli
