// The flags that `run` and `scale` share, as typed and as understood.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/paced_options.h"
#include "cli/runtime_choice.h"
#include "data/source.h"
#include "engine/native.h"
#include "ops/cuda/device_list.h"
#include "report/report.h"
#include "study/plan.h"
#include "study/sweep.h"

namespace breakeven::cli {

// As typed: CLI11 fills these, check() and the functions below turn them into meaning.
struct StudyFlags {
  std::string model;
  std::string texts = "builtin", text_field = "text", label_field = "label", split = "test";
  std::string count, judge;
  std::string device = "all", precision = "all", batch = "1,32", threads = "all";
  std::string max_length = "512", padding, mode = "serial,stream";
  std::string runtime = "native";
  std::vector<std::string> python;  // NAME=PATH
  std::string instruction_set;
  std::string time = "4m";
  std::uint64_t seed = 1;
  std::string format = "table", output, journal, resume;
  bool dry_run = false;
  PacedFlags paced;
};
void add_study_flags(CLI::App& command, StudyFlags& flags);

// "a,b" -> {"a", "b"}; parts may be empty, there is one at least.
std::vector<std::string> split_list(const std::string& text);

// "1,32" -> {1, 32}. Empty parts, zero, signs, fractions and values above `most` are refused by
// value. Errors: flag/number.
Result<std::vector<std::uint64_t>> parse_numbers(const std::string& flag, const std::string& text,
                                                 std::uint64_t most);
// "1,all" -> {1, 16}: "all" is one a usable core. Errors: flag/threads.
Result<std::vector<unsigned>> parse_threads(const std::string& text, unsigned all);
// Every part must be one of `known`; "all" alone stands for all of them when `all_allowed`.
// Errors: flag/choice.
Result<std::vector<std::string>> parse_choices(const std::string& flag, const std::string& text,
                                               const std::vector<std::string>& known);

// What a study must know of a model, whoever runs it.
struct ModelFacts {
  std::string name, hash, folder;
  std::vector<std::string> labels;
  ProblemType problem = ProblemType::single_label;
  std::size_t positions = 512;
  study::Work work;
};

// A study made ready: everything is checked before anything is measured.
struct Study {
  StudyFlags flags;
  std::shared_ptr<const engine::LoadedModel> model;  // null: the native engine refuses it
  ModelFacts facts;
  std::vector<RuntimeChoice> runtimes;
  std::unique_ptr<runtimes::Pool> pool;  // null when only the native engine is measured
  // Where a runtime says what it does while it loads; set while something is measured.
  std::function<void(std::string_view what, double done)> loading;
  std::vector<std::string> notes;  // what a person should know before anything is measured
  ops::GpuList gpus;
  std::vector<std::string> devices;
  std::string device_note;  // "no GPU was seen: ..."
  data::ReviewSet reviews;
  study::Axes axes;
  study::Input input;  // but for cells; views into `reviews`
  report::RenderOptions render;
};
// `count`, `judge`: texts of a pass, texts judged, when the flags do not say.
Result<std::unique_ptr<Study>> prepare_study(const StudyFlags& flags, const Context& context,
                                             std::size_t count);

// Cells of the axes that each device can run: --precision all means what a device runs fast.
// What a runtime cannot do is a note of the study. Errors: flag/choice, flag/precision.
Result<std::vector<record::Cell>> make_cells(Study& study);

// A classifier for a cell's spec, of this program or of another runtime.
Result<std::unique_ptr<Classifier>> make_classifier(const Study& study, const study::Spec& spec);

// Of another runtime: what its worker must be told. Writes the model to the cache if it exists in
// memory only. Errors: those of engine::folder_for_others.
Result<runtimes::WorkerSpec> worker_spec(const Study& study, const study::Spec& spec);

// Whether FILE can be written, told before hours are spent: "" and "-" are stdout.
// Errors: file/unwritable.
Result<void> check_output(const std::string& path);
// To stdout or, by rename, to a file. Errors: file/unwritable.
Result<void> write_output(const std::string& path, const std::string& content);

// "breakeven-<time>.jsonl" for now.
std::string new_journal_name();

// Sets a flag on the first Ctrl-C (or SIGTERM); the second ends the program as usual.
const std::atomic<bool>& stop_on_interrupt();

// "breakeven run --batch 1 --resume FILE" for the command as typed.
std::string resume_command(const Context& context, const std::string& journal);

// Work of one token, from the model's sizes.
study::Work work_of(const model::EncoderPlan& plan);

}  // namespace breakeven::cli
