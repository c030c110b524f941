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

struct SampleOptions {
  Mode mode = Mode::serial;
  std::size_t batch = 1;
  SteadyRule steady{};
  double run_start_s = 0;  // on the sampler's clock: what starts are counted from
};

// One visit to a cell.
struct Visit {
  std::uint64_t round = 0;
  double budget_s = 0;
  std::optional<double> reference_s{};  // of the machine's reference loop, just before
};

// More samples of one visit tell nothing new: what differs from round to round is wider.
inline constexpr std::size_t kMostSamplesOfAVisit = 1000;

// What the timed passes gave. A sample is a batch (serial) or a pass (stream).
struct Samples {
  std::vector<double> seconds;           // in time order, of whole passes only
  std::vector<std::uint32_t> positions;  // serial: which batch of the pass
  std::vector<std::uint32_t> rounds;     // in which round each was taken
  std::vector<double> start_s;           // when each began, since the run began
  std::vector<StageSeconds> stages;  // serial: of each sample; stream: busy seconds of each pass
  std::vector<double> pass_seconds;  // serial: the sum over the pass's batches
  std::vector<record::Round> visits;
  std::size_t batches_per_pass = 0;
  unsigned batches_in_flight = 1;
  bool interrupted = false;  // the stop flag ended it

  std::size_t warmup_passes = 0;  // whole ones, over all warm-ups
  double warmup_s = 0;

  // Outputs of the first timed pass, in the order of the texts; `judged` texts from the front.
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
// samples add up. A pass that has begun is finished: half of one would bias the mix of lengths. Not
// thread-safe. Classifier, texts and clock must outlive it.
class Sampler {
 public:
  Sampler(Classifier& classifier, std::span<const Text> texts, const SampleOptions& options,
          const Clock& clock = monotonic_clock(), const std::atomic<bool>* stop = nullptr);

  // Untimed passes: one at least, whatever the budget, so that every shape was seen; more until
  // times are steady or the next one would end after the budget. Only the stop flag cuts a pass.
  // Errors: the classifier's; measure/output when an output has the wrong shape; measure/no-texts.
  Result<void> warm_up(double budget_s);

  // Timed passes: one at least, more while they fit into the budget and kMostSamplesOfAVisit. A
  // pass that the stop flag cuts does not count. Errors: as warm_up().
  Result<void> measure(const Visit& visit);

  bool stopped() const;  // the stop flag is set

  const Samples& samples() const { return samples_; }
  // Seconds that the next pass will probably take; 0 before the first one.
  double expected_pass_s() const { return last_pass_s_; }

 private:
  // Seconds of a whole pass; nothing when the stop flag cut it.
  Result<std::optional<double>> serial_pass(bool timed);
  Result<std::optional<double>> stream_pass(bool timed);
  Result<std::optional<double>> pass(bool timed);
  void keep(double start_s, double seconds, const StageSeconds& stages);
  // Checks the shapes; in a timed pass keeps the outputs or compares them with the kept ones.
  Result<void> take(std::size_t first_text, std::size_t count, const Answer& answer, bool timed);

  Classifier& classifier_;
  std::span<const Text> texts_;
  SampleOptions options_;
  const Clock& clock_;
  const std::atomic<bool>* stop_;
  std::size_t class_count_ = 0;
  double last_pass_s_ = 0;
  std::uint64_t round_ = 0;  // of the visit
  BatchResult batch_result_;
  StreamResult stream_result_;
  Samples samples_;
};

}  // namespace breakeven::measure
