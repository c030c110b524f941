// A sweep: many cells measured over the same texts in the same order, judged before their time
// counts. It is made of rounds: each visits every cell of a block once, in random order; when a
// block's rounds are over, its records are handed on at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "classifier/classifier.h"
#include "measure/gpu_energy.h"
#include "measure/gpu_watch.h"
#include "record/record.h"
#include "study/plan.h"
#include "study/work.h"

namespace breakeven::study {

// Where the study says what it does. Called between passes, never inside the clock.
class Progress {
 public:
  Progress() = default;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  virtual ~Progress() = default;
  // `what`: "judging", "memory and cold start", "cpu bf16 batch 32 stream".
  // `done` in [0, 1]; `left_s` to the end of the whole study, as far as it is known.
  virtual void update(std::string_view what, double done, double left_s) = 0;
};

struct Input {
  std::vector<record::Cell> cells;
  // The first `timed` make a pass; all are judged as far as time allows.
  std::vector<Text> texts;
  std::size_t timed = 0;
  std::vector<int> labels;  // of each text, -1 = unknown; empty = none at all
  // Fingerprints of the originals that each text holds; empty = each text is one.
  std::vector<std::vector<std::uint64_t>> originals;
  ProblemType problem = ProblemType::single_label;
  record::Record prototype;  // run, command, model, texts' name and hash, machine, build
  Work work;
  // Whose fp32 on the CPU judges the outputs: the native engine, or another runtime when it
  // refuses the model. Its variant and padding; native has none.
  Spec judge{};
  // A second judge, of another runtime, for the rows of the native one.
  std::optional<Spec> other_judge{};
  double p99_limit_s = 0;  // of paced cells without a rate: the highest that keeps it is searched
  // Of everything: judging, fresh processes, warming up, sampling. A first round of all cells is
  // made whatever it takes.
  double time_s = 300;
  std::vector<record::Record> searched;  // by an earlier run, from which its searches go on
  bool energy = false;                   // measured, with windows that its counters need
  std::uint64_t seed = 1;
  std::string cache;    // folder for judges' logits; "" = none
  std::string shipped;  // folder of those that ship with the program; "" = none
};

// What a fresh process said about one cell.
struct Fresh {
  std::optional<record::Memory> memory;
  std::optional<record::ColdStart> cold_start;
};

struct Tools {
  std::function<Result<std::unique_ptr<Classifier>>(const Spec&)> make;
  std::function<Result<Fresh>(const record::Cell&)> fresh;  // empty = not measured
  std::function<Result<void>(const record::Record&)> keep;  // to the journal
  Progress* progress = nullptr;                             // may be null
  const std::atomic<bool>* stop = nullptr;                  // may be null
  std::function<double()> reference;                        // seconds of a fixed short loop; empty
  const Clock* clock = &monotonic_clock();
  std::string root = "/";  // where machine counters are read
  // By index, as the driver tells them: whose energy and clocks are read.
  std::map<int, record::Gpu> gpus{};
  std::string nvml_library = measure::kNvmlLibrary;
  double gpu_look_every_s = measure::kGpuLookEvery_s;
};

struct Outcome {
  std::vector<record::Record> records;  // finished cells, in the order of Input::cells
  bool interrupted = false;
  std::vector<std::string> notes;  // what a person should know beside the records
};

// Rounds that a sweep aims at, and the least time of one when there are more: neighbours in time
// see the same state of the machine, and would be counted as two looks at it.
inline constexpr std::size_t kRoundsAimedAt = 5;
inline constexpr double kRoundSpacing_s = 30;

// Errors: those of the classifiers when nothing at all could be measured (a single cell that fails
// becomes an INVALID record), parity/judge when the fp32 path disagrees with the plain reference,
// and those of Tools::keep.
Result<Outcome> run_sweep(const Input& input, const Tools& tools);

}  // namespace breakeven::study
