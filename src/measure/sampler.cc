#include "measure/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

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

Sampler::Sampler(Classifier& classifier, std::span<const Text> texts, const SampleOptions& options,
                 const Clock& clock, const std::atomic<bool>* stop)
    : classifier_(classifier), texts_(texts), options_(options), clock_(clock), stop_(stop) {
  BREAKEVEN_CHECK(options.batch >= 1);
  samples_.batches_per_pass =
      options.mode == Mode::stream ? 1 : (texts.size() + options.batch - 1) / options.batch;
}

bool Sampler::stopped() const {
  return stop_ != nullptr && stop_->load(std::memory_order_relaxed);
}

Result<void> Sampler::warm_up(double budget_s) {
  const double start = clock_.now_s();
  std::vector<double> passes;
  do {
    BREAKEVEN_TRY(const auto seconds, pass(false));
    if (!seconds) break;
    passes.push_back(*seconds);
    ++samples_.warmup_passes;
  } while (!steadiness(passes, options_.steady).steady && !stopped() &&
           clock_.now_s() + last_pass_s_ <= start + budget_s);
  samples_.warmup_s += clock_.now_s() - start;
  return {};
}

Result<void> Sampler::measure(const Visit& visit) {
  const double start = clock_.now_s();
  round_ = visit.round;
  record::Round round{visit.round, start - options_.run_start_s, 0, 0, visit.reference_s};
  const std::size_t samples_before = samples_.seconds.size();
  double sum_s = 0;
  do {
    const std::size_t whole = samples_.seconds.size();
    BREAKEVEN_TRY(const auto seconds, pass(true));
    if (!seconds) {
      samples_.seconds.resize(whole);
      samples_.start_s.resize(whole);
      samples_.rounds.resize(whole);
      samples_.stages.resize(whole);
      samples_.positions.resize(whole);
      break;
    }
    samples_.pass_seconds.push_back(*seconds);
    sum_s += *seconds;
    ++round.passes;
  } while (!stopped() && clock_.now_s() + last_pass_s_ <= start + visit.budget_s &&
           samples_.seconds.size() - samples_before < kMostSamplesOfAVisit);
  samples_.interrupted = samples_.interrupted || stopped();
  if (round.passes == 0) return {};
  round.pass_s = sum_s / static_cast<double>(round.passes);
  samples_.visits.push_back(round);
  return {};
}

Result<std::optional<double>> Sampler::pass(bool timed) {
  if (texts_.empty()) return fail("measure/no-texts", "there are no texts to classify");
  BREAKEVEN_TRY(const auto seconds,
                options_.mode == Mode::stream ? stream_pass(timed) : serial_pass(timed));
  if (seconds) last_pass_s_ = *seconds;
  return seconds;
}

void Sampler::keep(double start_s, double seconds, const StageSeconds& stages) {
  samples_.seconds.push_back(seconds);
  samples_.stages.push_back(stages);
  samples_.rounds.push_back(static_cast<std::uint32_t>(round_));
  // Microseconds are enough to order samples, and short in a journal.
  samples_.start_s.push_back(std::round((start_s - options_.run_start_s) * 1e6) * 1e-6);
}

Result<std::optional<double>> Sampler::serial_pass(bool timed) {
  double sum_s = 0;
  for (std::size_t batch = 0; batch < samples_.batches_per_pass; ++batch) {
    if (batch > 0 && stopped()) return std::nullopt;
    const std::size_t first = batch * options_.batch;
    const std::size_t count = std::min(options_.batch, texts_.size() - first);
    const double start = clock_.now_s();
    BREAKEVEN_TRY_VOID(classifier_.run_batch(texts_.subspan(first, count), batch_result_));
    const double waited = clock_.now_s() - start;
    // Another process times itself: what its pipe takes is no latency of its own.
    const double seconds = batch_result_.seconds > 0 ? batch_result_.seconds : waited;
    BREAKEVEN_TRY_VOID(take(first, count,
                            {batch_result_.logits, batch_result_.labels, batch_result_.tokens,
                             batch_result_.cut, batch_result_.computed_tokens},
                            timed));
    if (timed) {
      keep(start, seconds, batch_result_.stages);
      samples_.positions.push_back(static_cast<std::uint32_t>(batch));
    }
    sum_s += seconds;
  }
  return sum_s;
}

Result<std::optional<double>> Sampler::stream_pass(bool timed) {
  const double start = clock_.now_s();
  BREAKEVEN_TRY_VOID(classifier_.run_stream(texts_, options_.batch, stream_result_));
  const double waited = clock_.now_s() - start;
  const double seconds = stream_result_.seconds > 0 ? stream_result_.seconds : waited;
  BREAKEVEN_TRY_VOID(take(0, texts_.size(),
                          {stream_result_.logits, stream_result_.labels, stream_result_.tokens,
                           stream_result_.cut, stream_result_.computed_tokens},
                          timed));
  if (timed) {
    keep(start, seconds, stream_result_.busy);
    samples_.batches_in_flight =
        std::max(samples_.batches_in_flight, stream_result_.batches_in_flight);
  }
  return seconds;
}

Result<void> Sampler::take(std::size_t first_text, std::size_t count, const Answer& answer,
                           bool timed) {
  BREAKEVEN_TRY(class_count_, check_answer(answer, count, class_count_));
  if (timed) keep_or_compare(first_text, answer, samples_);
  return {};
}

}  // namespace breakeven::measure
