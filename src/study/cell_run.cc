#include "study/cell_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/content_hash.h"
#include "base/random.h"
#include "measure/thresholds.h"

namespace breakeven::study {
namespace {

// Passes that must agree before a cell counts as warm. A pass of seconds has passed start-up by
// itself; of short ones more are looked at.
std::size_t warm_window(double pass_s) {
  return pass_s >= 1 ? 2 : 4;
}

measure::SampleOptions sample_options(const record::Cell& cell, double pass_s, double run_start_s) {
  measure::SampleOptions options;
  options.steady.window = warm_window(pass_s);
  options.mode = cell.mode == Mode::stream ? Mode::stream : Mode::serial;
  options.batch = cell.batch;
  options.run_start_s = run_start_s;
  return options;
}

// Stream: seconds of work in each stage, summed over passes and workers.
record::Stages busy_stages(const measure::Samples& samples) {
  record::Stages sum;
  for (const StageSeconds& stages : samples.stages) {
    sum.tokenize_s += stages.tokenize;
    sum.pack_s += stages.pack;
    sum.upload_s += stages.upload;
    sum.compute_s += stages.compute;
    sum.download_s += stages.download;
    sum.decode_s += stages.decode;
  }
  return sum;
}

// Paced: the outputs of its requests, and how the warm-up before them went.
measure::Samples with_warm_up(measure::Samples outputs, const measure::Samples& warm_up) {
  outputs.warmup_passes = warm_up.warmup_passes;
  outputs.warmup_s = warm_up.warmup_s;
  return outputs;
}

// No two cells share one draw of arrivals, and a cell has the same in every run.
std::uint64_t seed_of(const std::string& name, const record::Cell& cell, std::uint64_t seed) {
  const std::string hash = sha256_hex(
      fmt::format("{} {} {} {}", name, cell.threads, cell.max_length, to_string(cell.padding)));
  constexpr int kHex = 16;
  return Random(seed, {std::stoull(hash.substr(0, 15), nullptr, kHex)}).next();
}

// What the driver said of each GPU of a device.
std::vector<record::Gpu> gpus_of(const Device& device, const Tools& tools) {
  std::vector<record::Gpu> gpus;
  for (const int index : device.gpus) {
    const auto gpu = tools.gpus.find(index);
    gpus.push_back(gpu == tools.gpus.end() ? record::Gpu{} : gpu->second);
  }
  return gpus;
}

}  // namespace

Result<MoreOutputs> run_untimed(Classifier& classifier, std::span<const Text> texts,
                                std::size_t batch) {
  StreamResult stream;
  BREAKEVEN_TRY_VOID(classifier.run_stream(texts, batch, stream));
  return MoreOutputs{std::move(stream.logits), std::move(stream.labels)};
}

Result<double> guess_error(Classifier& classifier, const Spec& spec, const Input& input,
                           const Clock& clock) {
  constexpr std::size_t kTexts = 8;
  auto cell = static_cast<const record::Cell&>(spec);
  cell.batch = std::min<std::uint64_t>({kTexts, spec.batch, input.timed});
  const auto texts = std::span(input.texts).first(cell.batch);
  BatchResult result;
  // The first one also makes buffers and reads the weights for the first time.
  BREAKEVEN_TRY_VOID(classifier.run_batch(texts, result));
  const double start = clock.now_s();
  BREAKEVEN_TRY_VOID(classifier.run_batch(texts, result));
  const double guessed = guess_pass_s(cell, input.prototype.instruction_set, input.work, texts);
  const double seconds = clock.now_s() - start;
  return seconds > 0 && guessed > 0 ? seconds / guessed : 1;
}

measure::EnergySources energy_sources(const Device& device, const Tools& tools) {
  measure::EnergySources sources;
  sources.root = tools.root;
  sources.nvml_library = tools.nvml_library;
  for (const record::Gpu& gpu : gpus_of(device, tools)) sources.gpu_uuids.push_back(gpu.uuid);
  return sources;
}

void CellRun::correct_guess(double factor) {
  guessed_pass_s_ *= factor;
}

ClassifierInfo Relay::info() const {
  return target_->info();
}
Result<void> Relay::run_batch(std::span<const Text> texts, BatchResult& out) {
  return target_->run_batch(texts, out);
}
Result<void> Relay::run_stream(std::span<const Text> texts, std::size_t batch, StreamResult& out) {
  return target_->run_stream(texts, batch, out);
}

CellRun::CellRun(const record::Cell& planned, const Input& input, const Tools& tools,
                 double run_start_s)
    : cell(planned),
      clock_(*tools.clock),
      guessed_pass_s_(guess_pass_s(planned, input.prototype.instruction_set, input.work,
                                   std::span(input.texts).first(input.timed))),
      sampler_(relay_, std::span(input.texts).first(input.timed),
               sample_options(planned, guessed_pass_s_, run_start_s), *tools.clock, tools.stop),
      texts_(std::span(input.texts).first(input.timed)),
      seed_(seed_of(name(), planned, input.seed)),
      p99_limit_s_(is_paced() && planned.rate_per_s == 0 ? input.p99_limit_s : 0),
      stop_(tools.stop),
      watch_(tools.root, *tools.clock) {
  if (input.energy) meter_.emplace(energy_sources(planned.device, tools), *tools.clock);
  if (planned.device.is_cpu()) return;
  gpu_watch_ = std::make_unique<measure::GpuWatch>(gpus_of(planned.device, tools),
                                                   tools.nvml_library, tools.gpu_look_every_s);
}

std::string CellRun::name() const {
  const std::string runtime = cell.runtime.is_native() ? "" : to_string(cell.runtime) + " ";
  const std::string rate = is_paced() ? fmt::format(" {:g}/s", cell.rate_per_s) : "";
  return fmt::format("{}{} {} batch {} {}{}", runtime, to_string(cell.device),
                     to_string(cell.precision), cell.batch, to_string(cell.mode), rate);
}

// A quarter of what the warm-up answered, texts always waiting.
double CellRun::first_rate_per_s() const {
  return 0.25 * static_cast<double>(texts_.size()) / pass_s();
}

std::uint64_t CellRun::probe_seed(std::uint64_t number) const {
  return Random(seed_, {number}).next();
}

void CellRun::aim_at(double rate_per_s, std::uint64_t number) {
  cell.rate_per_s = rate_per_s;
  probe_ = number;
  paced_.reset();
  done = false;
}

double CellRun::pass_s() const {
  const double known = sampler_.expected_pass_s();
  return known > 0 ? known : guessed_pass_s_;
}

void CellRun::set_idle(const measure::IdleWatts& idle) {
  if (meter_) meter_->set_idle(idle);
}

double CellRun::least_visit_s() const {
  const double metered_s = meter_ ? meter_->least_window_s() : 0;
  return is_paced() ? metered_s : pass_s() + std::max(pass_s(), metered_s);
}

std::size_t CellRun::rounds() const {
  if (!is_paced()) return sampler_.samples().visits.size();
  return paced_ && !paced_->outputs.interrupted ? 1 : 0;
}

Result<void> CellRun::visit(Classifier& classifier, const measure::Visit& visit) {
  constexpr double kWarmUpShare = 0.2;  // of a visit that has time for more than one pass
  relay_.point_to(&classifier);
  if (started_at_.empty()) started_at_ = measure::utc_now();
  const double begin = clock_.now_s();
  // The windows of a search follow each other: only the first begins cold.
  const bool goes_on = is_paced() && outputs_.judged > 0;
  if (!goes_on) BREAKEVEN_TRY_VOID(sampler_.warm_up(kWarmUpShare * visit.budget_s));
  // Not before: what a GPU's products run on is measured by the first batches.
  info_ = classifier.info();
  if (is_paced() && !goes_on) {
    BREAKEVEN_TRY(outputs_, measure::answer_all(classifier, texts_, cell.batch));
  }
  std::vector<int> processes = info_.processes;
  watch_.start(processes);
  if (gpu_watch_) gpu_watch_->start();
  if (meter_) meter_->start();
  measure::Visit timed = visit;
  timed.budget_s =
      std::max(meter_ ? meter_->least_window_s() : 1e-3, visit.budget_s - (clock_.now_s() - begin));
  auto measured = measure(classifier, timed);
  if (meter_) meter_->stop();
  if (gpu_watch_) {
    processes.push_back(::getpid());
    gpu_watch_->stop(processes);
  }
  watch_.look();
  watch_.stop();
  relay_.point_to(nullptr);
  return measured;
}

Result<void> CellRun::measure(Classifier& classifier, measure::Visit visit) {
  if (!is_paced()) return sampler_.measure(visit);
  measure::PacedOptions options;
  options.arrivals = cell.arrivals;
  options.rate_per_s = cell.rate_per_s;
  options.max_batch = cell.batch;
  options.max_wait_s = cell.max_wait_s;
  options.window_s = visit.budget_s / (1 + measure::kDrainShare);
  options.seed = searches() ? probe_seed(probe_) : seed_;
  BREAKEVEN_TRY(paced_, measure::run_paced(classifier, texts_, options, outputs_, clock_, stop_));
  return {};
}

void CellRun::describe_gpu(const measure::Samples& samples) {
  if (!gpu_watch_) return;
  record.gpu = gpu_watch_->gpu();
  if (!paced_) measure::fill_device_times(samples, record);
}

Result<void> CellRun::make_record(const Input& input, const Judges& judges,
                                  const MoreOutputs* more) {
  done = true;
  record = input.prototype;
  record.cell = cell;
  record.started_at = started_at_;
  if (fresh) {
    record.memory = fresh->memory;
    record.cold_start = fresh->cold_start;
  }
  if (failed) {
    measure::check_threshold(record, "failed", 1, failed->to_string());
    return {};
  }
  record.instruction_set = info_.instruction_set;
  record.tokenizer = info_.tokenizer;
  record.runtime_settings = info_.settings;
  measure::check_threshold(
      record, "ids", info_.other_ids,
      "its tokenizer gives these texts other token ids than tokenizer.json says");
  const measure::Samples samples =
      paced_ ? with_warm_up(paced_->outputs, sampler_.samples()) : sampler_.samples();
  if (paced_) {
    measure::summarise_paced(*paced_, input.timed, record);
    if (searches()) record.paced->p99_limit_s = p99_limit_s_;
    record.warmup_passes = samples.warmup_passes;
    record.warmup_s = samples.warmup_s;
  } else {
    measure::summarise(samples, input.timed, record);
  }
  if (samples.judged > 0) {
    std::vector<float> logits = samples.logits;
    std::vector<std::uint32_t> labels = samples.labels;
    // Texts that were not timed follow those that were, so the timed ones must be complete.
    if (more != nullptr && samples.judged == input.timed) {
      logits.insert(logits.end(), more->logits.begin(), more->logits.end());
      labels.insert(labels.end(), more->labels.begin(), more->labels.end());
    }
    if (auto judged = judges.judge(logits, labels, samples.repeat_abs_max, record); !judged) {
      // Another runtime may answer with logits that no judge can look at: its row, not the sweep.
      failed = std::move(judged).error();
      measure::check_threshold(record, "failed", 1, failed->to_string());
      return {};
    }
  }
  record.conditions = watch_.conditions();
  if (meter_ && searches()) {
    record.energy.method = "not available: one of many windows of a search";
  } else if (meter_) {
    record.energy = meter_->energy(paced_ ? paced_->played : input.timed * samples.passes());
  } else {
    record.energy.method = "not measured";
  }
  describe_gpu(samples);
  if (!paced_) {
    record.bound =
        measure::bound_by(record.stages ? *record.stages : busy_stages(samples), record.gpu);
  }
  measure::check_thresholds(samples, record);
  return {};
}

}  // namespace breakeven::study
