#include "runtimes/process_classifier.h"

#include <utility>

namespace breakeven::runtimes {
namespace {

template <class Out>
void hand_over(Classified&& from, Out& out) {
  out.logits = std::move(from.logits);
  out.labels = std::move(from.labels);
  out.scores = std::move(from.scores);
  out.tokens = std::move(from.tokens);
  out.cut = std::move(from.cut);
  out.computed_tokens = from.computed_tokens;
  out.seconds = from.end_s - from.start_s;
}

}  // namespace

ClassifierInfo ProcessClassifier::info() const {
  const WorkerSpec& spec = worker_.spec();
  const Loaded& loaded = worker_.loaded();
  ClassifierInfo info{static_cast<const Setup&>(spec)};
  info.instruction_set = loaded.instruction_set;
  info.model_name = spec.model_folder;
  info.tokenizer = worker_.capabilities().tokenizer;
  info.problem = loaded.problem;
  info.labels = loaded.labels;
  info.weight_bytes = loaded.weight_bytes.value_or(0);
  info.settings = loaded.settings;
  info.settings["version"] = worker_.capabilities().version;
  info.processes = {worker_.pid()};
  if (worker_.compared_ids() > 0) {
    info.other_ids =
        static_cast<double>(worker_.other_ids()) / static_cast<double>(worker_.compared_ids());
  }
  return info;
}

Result<void> ProcessClassifier::run_batch(std::span<const Text> texts, BatchResult& out) {
  BREAKEVEN_TRY(const auto indices, worker_.indices_of(texts));
  BREAKEVEN_TRY(Classified classified, worker_.run(indices));
  out.stages = classified.stages;
  hand_over(std::move(classified), out);
  return {};
}

Result<void> ProcessClassifier::run_stream(std::span<const Text> texts, std::size_t batch,
                                           StreamResult& out) {
  BREAKEVEN_TRY(const auto indices, worker_.indices_of(texts));
  BREAKEVEN_TRY(Classified classified, worker_.stream(indices, batch));
  out.busy = classified.stages;
  out.batches_in_flight = classified.in_flight;
  hand_over(std::move(classified), out);
  return {};
}

}  // namespace breakeven::runtimes
