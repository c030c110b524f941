// Requests at scheduled times, through a batcher, on one classifier: latency under a load. A
// request's latency counts from the moment at which it was due, so that waking up, waiting for a
// batch to fill and queueing behind others all show. One thread plays both sides: a request is
// there as soon as it is due, whether the classifier is busy or not, and the batcher sleeps until
// the next moment at which it has something to do. What it oversleeps is measured, too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "classifier/classifier.h"
#include "measure/sampler.h"
#include "record/record.h"

namespace breakeven::measure {

// Seconds from the start at which each of `count` requests is due, ascending, at rate_per_s over
// count ÷ rate_per_s seconds. Poisson: a Poisson process given its number of events, so that the
// rate is the one that was asked for; the same for the same seed.
std::vector<double> due_times(Arrivals arrivals, double rate_per_s, std::size_t count,
                              std::uint64_t seed);

struct PacedOptions {
  Arrivals arrivals = Arrivals::poisson;
  double rate_per_s = 1;
  std::size_t max_batch = 1;
  double max_wait_s = 0;   // a batch starts at the latest so long after its first request was due
  double window_s = 1;     // requests are due for so long; bounds the run with kDrainShare
  std::uint64_t seed = 1;  // of the moments and of the texts
};

// The first part of the window is played but not counted: queue and clocks must first look as they
// do under this load.
inline constexpr double kPacedWarmUpShare = 0.1;
// After the window what waits is still answered for this share of it; the rest stays unanswered.
inline constexpr double kDrainShare = 0.1;
// The window ends early with enough answers for a p99 at the load that was seen so far: the busier
// the server, the more (QueueSample). Each stands in the record, hence the bounds: the first is
// enough below some 0.7 busy, the second, a record of six megabytes, up to some 0.85.
inline constexpr std::size_t kEnoughAnswers = 20'000;
inline constexpr std::size_t kMostAnswers = 100'000;

struct PacedSamples {
  // Of each counted and answered request, in the order in which they were due. Saturated: the
  // warm-up's too, because a growing queue may answer no others.
  std::vector<double> due_s;             // on the clock
  std::vector<double> seconds;           // from due to its answer
  std::vector<std::uint32_t> positions;  // which text
  std::vector<double> wait_s;            // from due to the start of its batch
  std::vector<double> late_s;            // how long after its batch could have started it did
  // Of each batch that holds a counted request.
  std::vector<double> batch_seconds;
  std::vector<std::uint32_t> batch_texts;

  std::uint64_t seed = 0;
  std::size_t requests = 0;  // counted ones, answered or not
  std::size_t played = 0;    // answered in all, the warm-up's included
  double window_s = 0;       // in which they were due
  double busy_s = 0;         // of that window the classifier worked
  // At its limit or beyond: it was busy all the time, and requests came at least as fast as it
  // answers them in full batches. The queue then grows as long as the load lasts.
  bool saturated = false;
  double answered_per_s = 0;  // within the window
  double full_per_s = 0;      // texts, while it answered full batches; 0 = none was full

  // Of all texts, as answer_all() left them, compared with what the requests got; interrupted.
  Samples outputs;
};

// Answers every text once, in order, in batches of max_batch: what is judged, and every shape is
// warm. Not timed. Errors: as run_paced().
Result<Samples> answer_all(Classifier& classifier, std::span<const Text> texts,
                           std::size_t max_batch);

// Plays options.window_s of requests (or less: kEnoughAnswers; one request at least); each asks for
// a text drawn at random, with replacement. `outputs`: of answer_all() on these texts. A classifier
// that times itself (another process) counts by its own clock; what its pipe takes delays the next
// batch, and is in late_s. Errors: the classifier's; measure/output; measure/no-texts.
Result<PacedSamples> run_paced(Classifier& classifier, std::span<const Text> texts,
                               const PacedOptions& options, Samples outputs,
                               const Clock& clock = monotonic_clock(),
                               const std::atomic<bool>* stop = nullptr);

// Fills what follows from the samples alone: samples_s, sample_positions, sample_start_s (on the
// clock), schedule_late_s, latency_s (percentiles as QueueSample gives them; none when saturated),
// latency_note, reviews_per_s, tokens_per_s, paced, texts. record.cell must be set.
void summarise_paced(const PacedSamples& samples, std::size_t text_count, record::Record& record);

}  // namespace breakeven::measure
