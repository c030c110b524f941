// Times a Classifier: identical passes over the same texts in the same order, text in host memory
// to label in host memory, on one host clock. Outputs of the timed passes are kept: what was timed
// is what is judged.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "classifier/classifier.h"
#include "measure/steady.h"
#include "record/record.h"

namespace breakeven::measure {

// Sampling ends when the throughput's interval is this narrow, or at max_passes, or with the
// budget.
struct StopRule {
  double half_width = 0.01;  // relative; of the interval of the mean pass
  std::size_t min_passes = 6;
  std::size_t max_passes = 1000;
};

struct SampleOptions {
  Mode mode = Mode::serial;
  std::size_t batch = 1;
  SteadyRule steady;
  StopRule stop;
};

// What the timed passes gave. A sample is a batch (serial) or a pass (stream).
struct Samples {
  std::vector<double> seconds;           // in time order
  std::vector<std::uint32_t> positions;  // serial: which batch of the pass
  std::vector<StageSeconds> stages;  // serial: of each sample; stream: busy seconds of each pass
  std::vector<double> pass_seconds;  // of complete passes; serial: the sum over its batches
  std::size_t batches_per_pass = 0;
  unsigned batches_in_flight = 1;
  bool interrupted = false;  // the stop flag ended it

  std::size_t warmup_passes = 0;  // complete ones, over all warm-ups
  double warmup_s = 0;
  bool steady = false;  // the last warm-up ended steady
  Steadiness last_steadiness;

  // Outputs of the first timed pass, in the order of the texts; `judged` texts from the front have
  // been timed (fewer than all when not even one pass fitted into the budget).
  std::size_t judged = 0;
  std::vector<float> logits;  // [judged, C]
  std::vector<std::uint32_t> labels;
  std::vector<std::uint32_t> tokens;  // real tokens of each text
  std::uint64_t cut = 0;              // texts that had more tokens than max_length
  std::size_t computed_tokens = 0;    // in those texts, padding included
  double repeat_abs_max = 0;          // largest |Δlogit| of a later timed pass against the first
  std::size_t repeat_flips = 0;       // labels that a later timed pass changed

  std::size_t passes() const { return pass_seconds.size(); }
};

// What a classifier answered for some texts. Borrowed.
struct Answer {
  std::span<const float> logits;
  std::span<const std::uint32_t> labels, tokens;
  std::span<const std::uint8_t> cut;
  std::size_t computed_tokens = 0;
};
// The number of classes in an answer for `texts` texts, which must be `class_count` unless that is
// 0. Errors: measure/output.
Result<std::size_t> check_answer(const Answer& answer, std::size_t texts, std::size_t class_count);
// Keeps the outputs of texts that follow the judged ones; compares those of others with what was
// kept. computed_tokens counts only where outputs are kept.
void keep_or_compare(std::size_t first_text, const Answer& answer, Samples& samples);

// One cell's sampling. The study interleaves cells by calling warm_up() and measure() in turns; the
// samples add up. Not thread-safe. Classifier, texts and clock must outlive it.
class Sampler {
 public:
  Sampler(Classifier& classifier, std::span<const std::string_view> texts,
          const SampleOptions& options, const Clock& clock = monotonic_clock(),
          const std::atomic<bool>* stop = nullptr);

  // Untimed passes until steady or until the budget is over (then samples().steady is false).
  // Serial mode looks at the budget and the stop flag between batches, stream mode between passes;
  // at least one batch runs. When timed passes exist already (another cell ran in between), it is
  // over as soon as a pass is back at their level, within the rule's tolerance. Errors: the
  // classifier's; measure/output when an output has the wrong shape; measure/no-texts.
  Result<void> warm_up(double budget_s);

  // Timed passes until enough() or until the next pass would probably end after the budget. The
  // first pass is special: it always starts, and when the budget ends within it (serial), the next
  // call goes on where it stopped. Errors: as warm_up().
  Result<void> measure(double budget_s);

  // The stop rule is met; more samples would change little.
  bool enough() const;
  bool stopped() const;  // the stop flag is set

  const Samples& samples() const { return samples_; }
  // Seconds that the next pass will probably take; 0 before the first batch.
  double expected_pass_s() const;

 private:
  // One pass from `batch` on; moves `batch` and `seconds` along, so that a pass that the deadline
  // cut can go on later. Complete when batch reaches batches_per_pass.
  struct Progress {
    std::size_t batch = 0;
    double seconds = 0;
  };
  Result<void> serial_pass(double deadline_s, bool timed, Progress& progress);
  Result<void> stream_pass(bool timed, Progress& progress);
  Result<void> pass(double deadline_s, bool timed, Progress& progress);
  bool complete(const Progress& progress) const {
    return progress.batch == samples_.batches_per_pass;
  }
  // Checks the shapes; in a timed pass keeps the outputs or compares them with the kept ones.
  Result<void> take(std::size_t first_text, std::size_t count, const Answer& answer, bool timed);

  Classifier& classifier_;
  std::span<const std::string_view> texts_;
  SampleOptions options_;
  const Clock& clock_;
  const std::atomic<bool>* stop_;
  std::size_t class_count_ = 0;
  double last_pass_s_ = 0;
  Progress timed_;  // of the timed pass that is not complete
  BatchResult batch_result_;
  StreamResult stream_result_;
  Samples samples_;
};

// Fills what follows from samples alone: passes, warm-up, samples_s, sample_positions, latency_s
// (only percentiles with enough samples), latency_note, reviews_per_s, tokens_per_s, spread,
// stages, batches_in_flight, texts.count/real_tokens/computed_tokens/mean_tokens/truncated.
// record.cell must be set.
void summarise(const Samples& samples, std::size_t text_count, record::Record& record);

// texts.count/real_tokens/computed_tokens/mean_tokens/truncated/token_counts alone.
void fill_texts(const Samples& samples, std::size_t text_count, record::Record& record);

// The percentiles that a record may hold, in ascending order.
struct Percentile {
  const char* name;
  double share;
};
inline constexpr Percentile kPercentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}};

// Serial rows on a GPU: the device's own times beside the host's, into record.gpu, which must be
// set; nothing for a runtime without device events.
void fill_device_times(const Samples& samples, record::Record& record);

// Which stage bounds the row: "tokenizer", "transfer" or "compute" by the largest share of the
// stages; "launch" when device events show the device idle for most of compute (GPU rows).
std::string bound_by(const record::Stages& stages, const std::optional<record::Gpu>& gpu);

}  // namespace breakeven::measure
