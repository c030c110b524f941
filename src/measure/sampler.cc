#include "measure/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

void compare_with_kept(std::size_t first_text, const Answer& answer, Samples& samples) {
  for (std::size_t i = 0; i < answer.labels.size(); ++i) {
    samples.repeat_flips += answer.labels[i] != samples.labels[first_text + i] ? 1U : 0U;
  }
  const std::size_t class_count = answer.logits.size() / answer.labels.size();
  const auto kept = std::span(samples.logits).subspan(first_text * class_count);
  for (std::size_t i = 0; i < answer.logits.size(); ++i) {
    const double change = std::abs(double{answer.logits[i]} - double{kept[i]});
    const bool both_nan = std::isnan(answer.logits[i]) && std::isnan(kept[i]);
    if (std::isfinite(change)) {
      samples.repeat_abs_max = std::max(samples.repeat_abs_max, change);
    } else if (!both_nan) {
      samples.repeat_abs_max = std::numeric_limits<float>::max();
    }
  }
}

}  // namespace

Result<std::size_t> check_answer(const Answer& answer, std::size_t texts, std::size_t class_count) {
  if (class_count == 0) class_count = answer.logits.size() / texts;
  if (class_count == 0 || answer.logits.size() != texts * class_count ||
      answer.labels.size() != texts || answer.tokens.size() != texts ||
      answer.cut.size() != texts) {
    return fail("measure/output",
                fmt::format("{} texts gave {} logits, {} labels, {} token counts and {} times "
                            "whether it was cut",
                            texts, answer.logits.size(), answer.labels.size(), answer.tokens.size(),
                            answer.cut.size()),
                "this runtime answers wrongly; no time of it counts");
  }
  return class_count;
}

void keep_or_compare(std::size_t first_text, const Answer& answer, Samples& samples) {
  if (first_text < samples.judged) {
    compare_with_kept(first_text, answer, samples);
    return;
  }
  samples.logits.insert(samples.logits.end(), answer.logits.begin(), answer.logits.end());
  samples.labels.insert(samples.labels.end(), answer.labels.begin(), answer.labels.end());
  samples.tokens.insert(samples.tokens.end(), answer.tokens.begin(), answer.tokens.end());
  for (const std::uint8_t cut : answer.cut) samples.cut += cut;
  samples.computed_tokens += answer.computed_tokens;
  samples.judged += answer.labels.size();
}

Sampler::Sampler(Classifier& classifier, std::span<const std::string_view> texts,
                 const SampleOptions& options, const Clock& clock, const std::atomic<bool>* stop)
    : classifier_(classifier), texts_(texts), options_(options), clock_(clock), stop_(stop) {
  BREAKEVEN_CHECK(options.batch >= 1);
  samples_.batches_per_pass =
      options.mode == Mode::stream ? 1 : (texts.size() + options.batch - 1) / options.batch;
}

bool Sampler::stopped() const {
  return stop_ != nullptr && stop_->load(std::memory_order_relaxed);
}

double Sampler::expected_pass_s() const {
  return last_pass_s_;
}

bool Sampler::enough() const {
  const auto& passes = samples_.pass_seconds;
  if (passes.size() >= options_.stop.max_passes) return true;
  if (passes.size() < std::max<std::size_t>(3, options_.stop.min_passes)) return false;
  const auto interval = mean_interval(passes);
  return interval &&
         (interval->high - interval->low) / 2 <= options_.stop.half_width * mean(passes);
}

Result<void> Sampler::warm_up(double budget_s) {
  const double start = clock_.now_s();
  const double deadline = start + budget_s;
  std::vector<double> passes;
  samples_.steady = false;
  Result<void> outcome;
  do {
    Progress progress;
    outcome = pass(deadline, false, progress);
    if (!outcome || !complete(progress)) break;
    passes.push_back(progress.seconds);
    ++samples_.warmup_passes;
    if (samples_.pass_seconds.empty()) {
      samples_.last_steadiness = steadiness(passes, options_.steady);
    } else {
      const double shift = progress.seconds / median(samples_.pass_seconds) - 1;
      samples_.last_steadiness = {std::abs(shift) <= options_.steady.tolerance, shift, 0};
    }
    samples_.steady = samples_.last_steadiness.steady;
  } while (!samples_.steady && clock_.now_s() < deadline && !stopped());
  samples_.interrupted = samples_.interrupted || stopped();
  samples_.warmup_s += clock_.now_s() - start;
  return outcome;
}

Result<void> Sampler::measure(double budget_s) {
  const double deadline = clock_.now_s() + budget_s;
  while (!enough() && !stopped()) {
    const bool first = samples_.pass_seconds.empty();
    if (!first && clock_.now_s() + expected_pass_s() > deadline) break;
    // Only the first pass may be cut: a pass that has begun would otherwise bias the mix.
    BREAKEVEN_TRY_VOID(
        pass(first ? deadline : std::numeric_limits<double>::infinity(), true, timed_));
    if (!complete(timed_)) break;
    samples_.pass_seconds.push_back(timed_.seconds);
    timed_ = {};
  }
  samples_.interrupted = samples_.interrupted || stopped();
  return {};
}

Result<void> Sampler::pass(double deadline_s, bool timed, Progress& progress) {
  if (texts_.empty()) return fail("measure/no-texts", "there are no texts to classify");
  BREAKEVEN_TRY_VOID(options_.mode == Mode::stream ? stream_pass(timed, progress)
                                                   : serial_pass(deadline_s, timed, progress));
  if (progress.batch > 0) {
    last_pass_s_ = progress.seconds * static_cast<double>(samples_.batches_per_pass) /
                   static_cast<double>(progress.batch);
  }
  return {};
}

Result<void> Sampler::serial_pass(double deadline_s, bool timed, Progress& progress) {
  bool any = false;
  while (!complete(progress)) {
    if (any && (clock_.now_s() >= deadline_s || stopped())) return {};
    any = true;
    const std::size_t first = progress.batch * options_.batch;
    const std::size_t count = std::min(options_.batch, texts_.size() - first);
    const double start = clock_.now_s();
    auto outcome = classifier_.run_batch(texts_.subspan(first, count), batch_result_);
    const double waited = clock_.now_s() - start;
    if (!outcome) return outcome;
    // Another process times itself: what its pipe takes is no latency of its own.
    const double seconds = batch_result_.seconds > 0 ? batch_result_.seconds : waited;
    BREAKEVEN_TRY_VOID(take(first, count,
                            {batch_result_.logits, batch_result_.labels, batch_result_.tokens,
                             batch_result_.cut, batch_result_.computed_tokens},
                            timed));
    if (timed) {
      samples_.seconds.push_back(seconds);
      samples_.positions.push_back(static_cast<std::uint32_t>(progress.batch));
      samples_.stages.push_back(batch_result_.stages);
    }
    progress.seconds += seconds;
    ++progress.batch;
  }
  return {};
}

Result<void> Sampler::stream_pass(bool timed, Progress& progress) {
  const double start = clock_.now_s();
  auto outcome = classifier_.run_stream(texts_, options_.batch, stream_result_);
  const double waited = clock_.now_s() - start;
  if (!outcome) return outcome;
  progress.seconds = stream_result_.seconds > 0 ? stream_result_.seconds : waited;
  BREAKEVEN_TRY_VOID(take(0, texts_.size(),
                          {stream_result_.logits, stream_result_.labels, stream_result_.tokens,
                           stream_result_.cut, stream_result_.computed_tokens},
                          timed));
  if (timed) {
    samples_.seconds.push_back(progress.seconds);
    samples_.stages.push_back(stream_result_.busy);
    samples_.batches_in_flight =
        std::max(samples_.batches_in_flight, stream_result_.batches_in_flight);
  }
  progress.batch = 1;
  return {};
}

Result<void> Sampler::take(std::size_t first_text, std::size_t count, const Answer& answer,
                           bool timed) {
  BREAKEVEN_TRY(class_count_, check_answer(answer, count, class_count_));
  if (timed) keep_or_compare(first_text, answer, samples_);
  return {};
}

}  // namespace breakeven::measure
