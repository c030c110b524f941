// One cell while a sweep runs: its sampler, what is known of its cost, and in the end its record.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "classifier/classifier.h"
#include "measure/energy.h"
#include "measure/environment.h"
#include "measure/gpu_watch.h"
#include "measure/paced.h"
#include "measure/sampler.h"
#include "measure/summary.h"
#include "study/judging.h"
#include "study/sweep.h"

namespace breakeven::study {

// Outputs of texts that are judged but not timed.
struct MoreOutputs {
  std::vector<float> logits;
  std::vector<std::uint32_t> labels;
};
Result<MoreOutputs> run_untimed(Classifier& classifier, std::span<const Text> texts,
                                std::size_t batch);

// How many times longer a batch takes on this classifier than guess_pass_s() says, by running one
// twice, untimed. 1 when it cannot be told.
Result<double> guess_error(Classifier& classifier, const Spec& spec, const Input& input,
                           const Clock& clock);

// Hands every call on to the classifier of the moment: a sampler lives through all rounds, its
// classifier only through one.
class Relay final : public Classifier {
 public:
  void point_to(Classifier* target) { target_ = target; }
  ClassifierInfo info() const override;
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override;

 private:
  Classifier* target_ = nullptr;
};

// Where the energy of a device's rows is read.
measure::EnergySources energy_sources(const Device& device, const Tools& tools);

class CellRun {
 public:
  // `run_start_s`: on the clock of `tools`, what rounds and samples count their starts from.
  CellRun(const record::Cell& planned, const Input& input, const Tools& tools, double run_start_s);

  std::string name() const;  // "pytorch:seed cpu fp32 batch 32 stream"
  const measure::Sampler& sampler() const { return sampler_; }

  void set_idle(const measure::IdleWatts& idle);

  // The guess of a pass's time was off by this factor on the same classifier.
  void correct_guess(double factor);

  // The shortest visit: a pass to warm up, one that is timed, and what a meter needs.
  double least_visit_s() const;
  // Closed loop: rounds so far; paced: 1 when its window was played whole.
  std::size_t rounds() const;

  // A paced cell without a rate: the highest that keeps input.p99_limit_s is searched, in windows
  // of their own. aim_at() sets the rate and the draw of the next one.
  bool searches() const { return p99_limit_s_ > 0; }
  double first_rate_per_s() const;
  void aim_at(double rate_per_s, std::uint64_t number);
  std::uint64_t probe_seed(std::uint64_t number) const;

  // Warms up and measures for about so long, least_visit_s() at least; paced: plays one window that
  // fills the slot.
  Result<void> visit(Classifier& classifier, const measure::Visit& visit);

  // Fills `record` from the samples and sets `done`; outputs that cannot be judged make it INVALID.
  // Rates and percentiles are left to estimate_from_rounds().
  Result<void> make_record(const Input& input, const Judges& judges, const MoreOutputs* more);

  record::Cell cell;
  std::optional<Fresh> fresh;
  std::optional<Error> failed;
  bool done = false;
  record::Record record;
  std::vector<record::Record> probes;  // one for each window of a search

 private:
  bool is_paced() const { return cell.mode == Mode::paced; }
  Result<void> measure(Classifier& classifier, measure::Visit visit);
  void describe_gpu(const measure::Samples& samples);
  double pass_s() const;

  const Clock& clock_;
  double guessed_pass_s_;
  Relay relay_;
  measure::Sampler sampler_;
  measure::Samples outputs_;  // paced: of all texts, before the first request
  std::optional<measure::PacedSamples> paced_;
  std::span<const Text> texts_;  // of a pass
  std::uint64_t seed_;
  double p99_limit_s_;       // 0 = no search
  std::uint64_t probe_ = 0;  // number of the window
  const std::atomic<bool>* stop_;
  measure::ConditionsWatch watch_;
  std::optional<measure::EnergyMeter> meter_;     // none when nobody asked for energy
  std::unique_ptr<measure::GpuWatch> gpu_watch_;  // null for a CPU row
  std::string started_at_;
  ClassifierInfo info_;
};

}  // namespace breakeven::study
