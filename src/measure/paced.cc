#include "measure/paced.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/batch_rule.h"
#include "base/check.h"
#include "base/random.h"
#include "measure/paced_statistics.h"
#include "measure/statistics.h"
#include "measure/summary.h"

namespace breakeven::measure {
namespace {

// Two streams of random numbers from one seed.
constexpr std::uint64_t kMoments = 1;
constexpr std::uint64_t kTexts = 2;

// Plays one window. Times inside are on the clock; `begin_s_` is the schedule's zero.
class Play {
 public:
  Play(Classifier& classifier, std::span<const Text> texts, const PacedOptions& options,
       Samples outputs, const Clock& clock, const std::atomic<bool>* stop);

  Result<PacedSamples> run();

 private:
  bool stopped() const { return stop_ != nullptr && stop_->load(std::memory_order_relaxed); }
  double due_s(std::size_t request) const { return begin_s_ + due_[request]; }
  auto come_s() const {
    return [this](std::size_t request) { return due_s(request); };
  }
  void sleep_until(double time_s) const;  // or until stopped
  void close_window();                    // now: what comes later is not asked for
  Result<double> answer_batch(double started_s, double late_s);
  Result<void> compare_outputs(std::size_t count);
  void count_batch(std::size_t count, double started_s, double ended_s, double late_s);
  bool at_limit(double now_s) const;
  std::size_t answers_wanted(double now_s) const;  // for a p99 at this load
  void finish(double ended_s);

  Classifier& classifier_;
  std::span<const Text> texts_;
  PacedOptions options_;
  BatchRule rule_;
  const Clock& clock_;
  const std::atomic<bool>* stop_;
  std::vector<double> due_;
  std::vector<std::uint32_t> asked_;  // the text of each request
  std::size_t first_counted_ = 0;
  double begin_s_ = 0, counted_from_s_ = 0, window_end_s_ = 0, give_up_s_ = 0;
  std::size_t next_ = 0;       // the first request that is in no batch yet
  std::size_t in_window_ = 0;  // requests answered between counted_from_s_ and window_end_s_
  double worked_s_ = 0;        // since counted_from_s_, after the window, too
  double full_s_ = 0;          // that full batches took, and their texts
  std::size_t full_texts_ = 0;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t first_batch_ = kNone;  // that holds a counted request
  std::size_t class_count_ = 0;
  double real_tokens_ = 0, computed_tokens_ = 0;
  std::vector<Text> batch_;
  BatchResult result_;
  PacedSamples samples_;
};

Play::Play(Classifier& classifier, std::span<const Text> texts, const PacedOptions& options,
           Samples outputs, const Clock& clock, const std::atomic<bool>* stop)
    : classifier_(classifier),
      texts_(texts),
      options_(options),
      rule_{options.max_batch, options.max_wait_s},
      clock_(clock),
      stop_(stop) {
  BREAKEVEN_CHECK(options.rate_per_s > 0 && options.max_batch >= 1 && options.max_wait_s >= 0);
  constexpr double kMostDue = 1e6;  // of memory; a second of requests at any rate that makes sense
  const double wanted = std::floor(options.rate_per_s * options.window_s);
  const auto count = static_cast<std::size_t>(std::clamp(wanted, 1.0, kMostDue));
  due_ = due_times(options.arrivals, options.rate_per_s, count, options.seed);
  Random draw(options.seed, {kTexts});
  for (std::size_t i = 0; i < count; ++i) {
    asked_.push_back(static_cast<std::uint32_t>(draw.scaled_below(texts.size())));
  }
  samples_.outputs = std::move(outputs);
  samples_.seed = options.seed;
  first_counted_ = static_cast<std::size_t>(kPacedWarmUpShare *
                                            static_cast<double>(std::min(count, kEnoughAnswers)));
}

void Play::sleep_until(double time_s) const {
  constexpr double kLongest_s = 0.25;  // so that Ctrl-C is heard
  for (double now_s = clock_.now_s(); now_s < time_s && !stopped(); now_s = clock_.now_s()) {
    clock_.sleep_until(std::min(time_s, now_s + kLongest_s));
  }
}

Answer answer_of(const BatchResult& result) {
  return {result.logits, result.labels, result.tokens, result.cut, result.computed_tokens};
}

Result<void> Play::compare_outputs(std::size_t count) {
  const Answer answer = answer_of(result_);
  BREAKEVEN_TRY(class_count_, check_answer(answer, count, class_count_));
  for (std::size_t i = 0; i < count; ++i) {
    keep_or_compare(
        asked_[next_ + i],
        {answer.logits.subspan(i * class_count_, class_count_), answer.labels.subspan(i, 1),
         answer.tokens.subspan(i, 1), answer.cut.subspan(i, 1), 0},
        samples_.outputs);
    real_tokens_ += answer.tokens[i];
  }
  computed_tokens_ += static_cast<double>(answer.computed_tokens);
  return {};
}

void Play::count_batch(std::size_t count, double started_s, double ended_s, double late_s) {
  const auto between = [&](double end_s) {
    return std::max(0.0, end_s - std::max(started_s, counted_from_s_));
  };
  samples_.busy_s += between(std::min(ended_s, window_end_s_));
  worked_s_ += between(ended_s);
  if (count == options_.max_batch) {
    full_s_ += ended_s - started_s;
    full_texts_ += count;
    samples_.full_per_s = static_cast<double>(full_texts_) / full_s_;
  }
  if (ended_s > counted_from_s_ && ended_s <= window_end_s_) in_window_ += count;
  for (std::size_t request = next_; request < next_ + count; ++request) {
    samples_.due_s.push_back(due_s(request));
    samples_.seconds.push_back(ended_s - due_s(request));
    samples_.positions.push_back(asked_[request]);
    samples_.wait_s.push_back(started_s - due_s(request));
    samples_.late_s.push_back(late_s);
  }
  if (next_ + count > first_counted_ && first_batch_ == kNone) {
    first_batch_ = samples_.batch_seconds.size();
  }
  samples_.batch_seconds.push_back(ended_s - started_s);
  samples_.batch_texts.push_back(static_cast<std::uint32_t>(count));
}

void Play::close_window() {
  const double now_s = clock_.now_s();
  const auto later = std::upper_bound(due_.begin(), due_.end(), now_s - begin_s_);
  due_.resize(std::max(next_, static_cast<std::size_t>(later - due_.begin())));
  window_end_s_ = now_s;
  give_up_s_ = now_s + options_.max_wait_s + kDrainShare * (now_s - begin_s_);
}

// Takes what is due and answers it; returns when the classifier was done.
Result<double> Play::answer_batch(double started_s, double late_s) {
  batch_.clear();
  const std::size_t end = rule_.end_of(next_, due_.size(), come_s(), started_s);
  for (std::size_t request = next_; request < end; ++request) {
    batch_.push_back(texts_[asked_[request]]);
  }
  BREAKEVEN_CHECK(!batch_.empty());
  BREAKEVEN_TRY_VOID(classifier_.run_batch(batch_, result_));
  double ended_s = clock_.now_s();
  if (result_.seconds > 0) ended_s = std::min(ended_s, started_s + result_.seconds);
  BREAKEVEN_TRY_VOID(compare_outputs(batch_.size()));
  count_batch(batch_.size(), started_s, ended_s, late_s);
  next_ += batch_.size();
  return ended_s;
}

double mean_of(std::span<const std::uint32_t> counts) {
  if (counts.empty()) return 1;
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  return sum / static_cast<double>(counts.size());
}

// Of what it could do in full batches; where none was full, it is far from that.
ServerLoad load_of(double rate_per_s, double busy_share, const PacedSamples& samples,
                   std::size_t max_batch) {
  const auto full = static_cast<double>(std::max<std::size_t>(1, max_batch));
  const double share = samples.full_per_s > 0 ? rate_per_s / samples.full_per_s
                                              : busy_share * mean_of(samples.batch_texts) / full;
  return {std::min(share, busy_share), relative_spread(samples.batch_seconds)};
}

// A queue that grows looks like a queue that is long by chance, and like one that a pause left
// behind. What cannot be mistaken: the machine worked all the time, and not even full batches
// answer what comes. (Batches that are not full answer all who wait, however busy they keep it.)
bool Play::at_limit(double now_s) const {
  constexpr double kBusy = 0.9;
  constexpr double kNearly = 0.98;
  if (full_s_ <= 0 || worked_s_ < kBusy * (now_s - counted_from_s_)) return false;
  return options_.rate_per_s * full_s_ >= kNearly * static_cast<double>(full_texts_);
}

std::size_t Play::answers_wanted(double now_s) const {
  if (options_.arrivals != Arrivals::poisson || at_limit(now_s)) return kEnoughAnswers;
  // By the least that requests may be worth; those of a real server are worth less.
  constexpr double kMargin = 2;
  const double share = worked_s_ / (now_s - counted_from_s_);
  const double wanted =
      kMargin * static_cast<double>(samples_needed(0.99)) *
      load_of(options_.rate_per_s, share, samples_, options_.max_batch).requests_an_independent();
  return static_cast<std::size_t>(std::clamp<double>(wanted, kEnoughAnswers, kMostAnswers));
}

template <class T>
void drop_first(std::vector<T>& values, std::size_t count) {
  values.erase(values.begin(),
               values.begin() + static_cast<std::ptrdiff_t>(std::min(count, values.size())));
}

void Play::finish(double ended_s) {
  samples_.saturated = !samples_.outputs.interrupted && at_limit(ended_s);
  samples_.played = next_;
  if (samples_.outputs.interrupted) {
    window_end_s_ = std::clamp(ended_s, counted_from_s_, window_end_s_);
  }
  samples_.window_s = window_end_s_ - counted_from_s_;
  samples_.requests = due_.size();
  if (!samples_.saturated) {
    samples_.requests -= std::min(first_counted_, samples_.requests);
    for (auto* values : {&samples_.due_s, &samples_.seconds, &samples_.wait_s, &samples_.late_s}) {
      drop_first(*values, first_counted_);
    }
    drop_first(samples_.positions, first_counted_);
    drop_first(samples_.batch_seconds, first_batch_);
    drop_first(samples_.batch_texts, first_batch_);
  }
  const std::size_t answered = samples_.saturated ? in_window_ : samples_.seconds.size();
  samples_.answered_per_s =
      samples_.window_s > 0 ? static_cast<double>(answered) / samples_.window_s : 0;
  // Batches were not those of answer_all(): the share of padding is theirs.
  const std::vector<std::uint32_t>& tokens = samples_.outputs.tokens;
  const double kept = std::accumulate(tokens.begin(), tokens.end(), 0.0);
  const double padded = real_tokens_ > 0 ? computed_tokens_ / real_tokens_ : 1;
  samples_.outputs.computed_tokens = static_cast<std::size_t>(std::llround(kept * padded));
}

Result<PacedSamples> Play::run() {
  const double period_s = 1 / options_.rate_per_s;
  begin_s_ = clock_.now_s();
  const double length_s = static_cast<double>(due_.size()) * period_s;
  counted_from_s_ = begin_s_ + static_cast<double>(first_counted_) * period_s;
  window_end_s_ = begin_s_ + length_s;
  // A batch may wait to fill even when nobody else comes.
  give_up_s_ = window_end_s_ + options_.max_wait_s + kDrainShare * length_s;
  double free_s = begin_s_;
  bool closed = false;
  std::size_t close_at = first_counted_ + kEnoughAnswers;
  while (next_ < due_.size()) {
    const double could_s = rule_.start_s(next_, due_.size(), come_s(), free_s);
    if (could_s > give_up_s_ && at_limit(clock_.now_s())) break;
    sleep_until(could_s);
    if (stopped()) {
      samples_.outputs.interrupted = true;
      break;
    }
    const double started_s = std::max(could_s, clock_.now_s());
    BREAKEVEN_TRY(free_s, answer_batch(started_s, started_s - could_s));
    if (next_ < close_at || closed) continue;
    close_at = first_counted_ + answers_wanted(clock_.now_s());
    closed = next_ >= close_at;
    if (closed) close_window();
  }
  finish(clock_.now_s());
  return std::move(samples_);
}

// Fills latency_s and the number of stalls behind its tail.
void fill_percentiles(const PacedSamples& samples, record::Record& record) {
  ServerLoad load;
  if (record.cell.arrivals == Arrivals::poisson) {
    load = load_of(record.cell.rate_per_s, record.paced->busy_share, samples, record.cell.batch);
  }
  const QueueSample queue(samples.due_s, samples.seconds, load);
  for (const Percentile& each : kPercentiles) {
    if (auto estimate = queue.percentile(each.share)) record.latency_s[each.name] = *estimate;
  }
  record.paced->tail_episodes = queue.episodes(0.99);
}

}  // namespace

std::vector<double> due_times(Arrivals arrivals, double rate_per_s, std::size_t count,
                              std::uint64_t seed) {
  BREAKEVEN_CHECK(rate_per_s > 0, "rate={}", rate_per_s);
  std::vector<double> due(count);
  if (arrivals == Arrivals::constant) {
    for (std::size_t i = 0; i < count; ++i) due[i] = static_cast<double>(i) / rate_per_s;
    return due;
  }
  // Sums of exponential gaps, stretched so that the gap behind the last one ends with the window:
  // uniform order statistics.
  Random draw(seed, {kMoments});
  const auto gap = [&] { return -portable_log(draw.uniform(0x1p-54, 1)); };
  double sum = 0;
  for (double& time : due) time = sum += gap();
  sum += gap();
  const double window_s = static_cast<double>(count) / rate_per_s;
  for (double& time : due) time *= window_s / sum;
  return due;
}

Result<Samples> answer_all(Classifier& classifier, std::span<const Text> texts,
                           std::size_t max_batch) {
  if (texts.empty()) return fail("measure/no-texts", "there are no texts to classify");
  Samples outputs;
  BatchResult result;
  std::size_t class_count = 0;
  for (std::size_t first = 0; first < texts.size(); first += max_batch) {
    const std::size_t count = std::min(max_batch, texts.size() - first);
    BREAKEVEN_TRY_VOID(classifier.run_batch(texts.subspan(first, count), result));
    BREAKEVEN_TRY(class_count, check_answer(answer_of(result), count, class_count));
    keep_or_compare(first, answer_of(result), outputs);
  }
  return outputs;
}

Result<PacedSamples> run_paced(Classifier& classifier, std::span<const Text> texts,
                               const PacedOptions& options, Samples outputs, const Clock& clock,
                               const std::atomic<bool>* stop) {
  if (texts.empty()) return fail("measure/no-texts", "there are no texts to classify");
  return Play(classifier, texts, options, std::move(outputs), clock, stop).run();
}

void summarise_paced(const PacedSamples& samples, std::size_t text_count, record::Record& record) {
  record.samples_s = samples.seconds;
  record.sample_positions = samples.positions;
  record.sample_start_s = samples.due_s;
  record.schedule_late_s = samples.late_s;
  fill_texts(samples.outputs, text_count, record);
  record::Paced& paced = record.paced.emplace();
  paced.requests = samples.requests;
  paced.answered = samples.seconds.size();
  paced.window_s = samples.window_s;
  paced.saturated = samples.saturated;
  paced.seed = samples.seed;
  if (samples.seconds.empty()) return;
  paced.busy_share = samples.window_s > 0 ? std::min(1.0, samples.busy_s / samples.window_s) : 0;
  paced.mean_batch = mean_of(samples.batch_texts);
  paced.wait_s_p50 = median(samples.wait_s);
  paced.batch_s_p50 = median(samples.batch_seconds);
  paced.late_s_max = *std::max_element(samples.late_s.begin(), samples.late_s.end());
  record.reviews_per_s = {samples.answered_per_s, std::nullopt, samples.seconds.size()};
  record.tokens_per_s = {samples.answered_per_s * record.texts.mean_tokens, std::nullopt,
                         samples.seconds.size()};
  if (samples.saturated) {
    record.latency_note = "at its limit: latencies grow as long as the load lasts";
    return;
  }
  fill_percentiles(samples, record);
  record.latency_note =
      fmt::format("from the moment when each of {} requests was due, over {:.3g} s",
                  samples.seconds.size(), samples.window_s);
}

}  // namespace breakeven::measure
