#include "bindings/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/clock.h"
#include "engine/placement.h"
#include "ops/cuda/device_list.h"
#include "session/study_input.h"

namespace breakeven::python {
namespace {

// How often a call that waits for its turn looks whether it should give up.
constexpr std::chrono::milliseconds kLook{20};

Result<Device> find_device(const std::string& name, std::vector<std::string>& notes) {
  BREAKEVEN_TRY(const auto selection, ops::select_devices(name, ops::list_gpus()));
  if (selection.devices.size() != 1) {
    return fail("device/one", fmt::format("--device {} names several devices", name),
                "name one: auto, cpu or cuda:0");
  }
  if (!selection.note.empty()) notes.push_back(selection.note);
  return selection.devices.front();
}

template <class Result>
void copy_answers(const Result& from, Answers& out) {
  out.logits = from.logits;
  out.labels = from.labels;
  out.scores = from.scores;
}

}  // namespace

Result<std::shared_ptr<Pipeline>> Pipeline::open(const PipelineOptions& options) {
  std::shared_ptr<Pipeline> pipeline(new Pipeline);
  study::Spec spec;
  BREAKEVEN_TRY(spec.device, find_device(options.device, pipeline->notes_));
  BREAKEVEN_TRY(spec.precision, parse<Precision>(options.precision));
  BREAKEVEN_TRY(const auto session,
                session::Session::open({.model = options.model, .devices = {spec.device}}));
  const session::ModelFacts& facts = session->facts();
  spec.threads =
      options.threads > 0 ? static_cast<unsigned>(options.threads) : engine::default_threads();
  spec.batch = options.batch;
  spec.max_length = options.max_length > 0
                        ? options.max_length
                        : std::min(engine::kDefaultMaxLength, facts.length_limit);
  if (spec.max_length > facts.length_limit) {
    return fail("engine/max-length",
                fmt::format("--max-length {} is over the {} tokens that this model takes",
                            spec.max_length, facts.length_limit),
                fmt::format("give --max-length {} or less", facts.length_limit));
  }
  BREAKEVEN_TRY(pipeline->classifier_, session->make(spec, &pipeline->stop_));
  pipeline->info_ = pipeline->classifier_->info();
  pipeline->prototype_ = session::make_prototype(*session->native_model(), pipeline->info_);
  pipeline->folder_ = facts.folder;
  pipeline->function_ = session->native_model()->checkpoint.plan.score;
  if (const std::string& note = session->native_model()->note; !note.empty())
    pipeline->notes_.push_back(note);
  return pipeline;
}

Result<void> Pipeline::take_turn(Call& call) {
  std::unique_lock lock(mutex_);
  while (current_ != nullptr && !call.stop_) turn_.wait_for(lock, kLook);
  if (call.stop_) return fail("engine/stopped", "the call was stopped");
  current_ = &call;
  stop_ = false;
  return {};
}

void Pipeline::end_turn(Call& call) {
  const std::lock_guard lock(mutex_);
  if (current_ == &call) current_ = nullptr;
  turn_.notify_one();
}

void Pipeline::interrupt(Call& call) {
  const std::lock_guard lock(mutex_);
  call.stop_ = true;
  if (current_ == &call) stop_ = true;
}

Result<void> Pipeline::run(std::span<const Text> texts, Answers& out, Call& call) {
  if (call.stopped()) return fail("engine/stopped", "the call was stopped");
  if (texts.empty()) return {};
  Lap lap(monotonic_clock());
  BREAKEVEN_TRY_VOID(take_turn(call));
  lap.seconds();  // waiting is no work
  const bool one_batch = texts.size() <= info_.batch;
  Result<void> done = one_batch ? classifier_->run_batch(texts, batch_)
                                : classifier_->run_stream(texts, info_.batch, stream_);
  if (done) {
    one_batch ? copy_answers(batch_, out) : copy_answers(stream_, out);
    const auto& tokens = one_batch ? batch_.tokens : stream_.tokens;
    const auto& cut = one_batch ? batch_.cut : stream_.cut;
    call.done_.texts += texts.size();
    call.done_.tokens += std::accumulate(tokens.begin(), tokens.end(), std::uint64_t{0});
    call.done_.truncated += static_cast<std::uint64_t>(std::count(cut.begin(), cut.end(), 1));
    call.done_.seconds += lap.seconds();
  }
  end_turn(call);
  return done;
}

void Pipeline::count(const Call& call) {
  const std::lock_guard lock(mutex_);
  stats_.texts += call.done_.texts;
  stats_.tokens += call.done_.tokens;
  stats_.truncated += call.done_.truncated;
  stats_.seconds += call.done_.seconds;
}

Stats Pipeline::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace breakeven::python
