#include "engine/native_classifier.h"

#include <fmt/format.h>

#include "base/check.h"

namespace breakeven::engine {
namespace {

std::unique_ptr<Runner> make_runner(const Setting& setting) {
  const bool has_device = setting.places.front().backend->has_device();
  return has_device ? make_device_runner(setting) : make_cpu_runner(setting);
}

// BatchResult or StreamResult.
template <class Answers>
void make_room(std::size_t texts, std::size_t classes, Answers& out) {
  out.logits.resize(texts * classes);
  out.labels.resize(texts);
  out.scores.resize(texts);
  out.tokens.resize(texts);
  out.cut.resize(texts);
  out.computed_tokens = 0;
}

// Whatever stands around the texts must fit before any of them does.
Result<void> check_room(std::span<const Text> texts, const text::TokenizerInfo& tokenizer,
                        std::uint64_t max_length) {
  if (max_length >= tokenizer.pair_special_ids || !any_pair(texts)) return {};
  return fail("engine/max-length",
              fmt::format("--max-length {} leaves no room for the {} special tokens of a pair",
                          max_length, tokenizer.pair_special_ids),
              fmt::format("give --max-length {} or more", tokenizer.pair_special_ids));
}

}  // namespace

NativeClassifier::NativeClassifier(const LoadedModel& model, const NativeOptions& options,
                                   std::vector<Place> places)
    : model_name_(model.name),
      plan_(model.checkpoint.plan),
      tokenizer_(model.tokenizer),
      options_(options),
      places_(std::move(places)),
      runner_(make_runner({plan_, *tokenizer_, options_, places_})) {}

ClassifierInfo NativeClassifier::info() const {
  const std::lock_guard lock(mutex_);
  ClassifierInfo info{options_.setup};
  info.instruction_set = places_.front().backend->info().instruction_set;
  info.model_name = model_name_;
  info.tokenizer = "breakeven";
  info.problem = plan_.problem;
  info.labels = plan_.labels;
  for (const Place& place : places_) info.weight_bytes += place.packed->weight_bytes();
  runner_->describe(info);
  return info;
}

template <class Run>
Result<void> NativeClassifier::finish(const Run& run) const {
  try {
    BREAKEVEN_TRY_VOID(run());
  } catch (const ops::DeviceFailure& failure) {
    return tl::unexpected<Error>(device_failed(to_string(options_.setup.device), failure));
  }
  if (options_.stopped()) return fail("engine/stopped", "the run was stopped");
  return {};
}

Result<void> NativeClassifier::run_batch(std::span<const Text> texts, BatchResult& out) {
  BREAKEVEN_CHECK(!texts.empty() && texts.size() <= options_.setup.batch, "texts={} batch={}",
                  texts.size(), options_.setup.batch);
  BREAKEVEN_TRY_VOID(check_room(texts, tokenizer_->info(), options_.setup.max_length));
  const std::lock_guard lock(mutex_);
  make_room(texts.size(), plan_.labels.size(), out);
  out.stages = {};
  return finish([&] { return runner_->run_batch(texts, out); });
}

Result<void> NativeClassifier::run_stream(std::span<const Text> texts, std::size_t batch,
                                          StreamResult& out) {
  BREAKEVEN_CHECK(batch >= 1 && batch <= options_.setup.batch, "batch={} of {}", batch,
                  options_.setup.batch);
  BREAKEVEN_TRY_VOID(check_room(texts, tokenizer_->info(), options_.setup.max_length));
  const std::lock_guard lock(mutex_);
  make_room(texts.size(), plan_.labels.size(), out);
  out.busy = {};
  out.batches_in_flight = 0;
  return finish([&] { return runner_->run_stream(texts, batch, out); });
}

}  // namespace breakeven::engine
