// From samples to the numbers of a record (declared in sampler.h).
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "measure/sampler.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

using record::Estimate;
using record::Interval;

// Complete passes only, so that every batch counts equally often; all when no pass is complete.
std::span<const double> balanced(const Samples& samples) {
  const std::span<const double> all = samples.seconds;
  return samples.passes() == 0 ? all : all.first(samples.passes() * samples.batches_per_pass);
}

void fill_latency(const Samples& samples, record::Record& record) {
  const auto seconds = balanced(samples);
  for (const auto& [name, share] : kPercentiles) {
    if (!carries(seconds.size(), share)) break;
    Estimate& estimate = record.latency_s[name];
    estimate = {percentile(seconds, share), std::nullopt, seconds.size()};
    // Without repeats the mix of lengths cannot be told from noise; the interval is then wider.
    estimate.interval =
        samples.passes() >= kMinPassesForInterval
            ? percentile_interval_over_passes(seconds, samples.batches_per_pass, share)
            : percentile_interval(seconds, share);
  }
  if (samples.passes() == 0) {
    record.latency_note = fmt::format("{} of the {} batches of one pass", samples.seconds.size(),
                                      samples.batches_per_pass);
  } else if (samples.batches_per_pass > 1) {
    record.latency_note = fmt::format("over a mix of lengths: {} batches, {} times",
                                      samples.batches_per_pass, samples.passes());
  } else {
    record.latency_note = fmt::format("one batch, {} times", samples.passes());
  }
}

// amount ÷ seconds, with the interval of the seconds turned round.
Estimate rate(double amount, double seconds, const std::optional<Interval>& interval,
              std::size_t samples) {
  Estimate estimate{seconds > 0 ? amount / seconds : 0, std::nullopt, samples};
  if (interval && interval->low > 0) {
    estimate.interval =
        Interval{amount / interval->high, amount / interval->low, interval->confidence};
  }
  return estimate;
}

void fill_rates(const Samples& samples, record::Record& record) {
  double seconds = 0;
  std::optional<Interval> interval;
  if (samples.passes() > 0) {
    seconds = mean(samples.pass_seconds);
    interval = mean_interval(samples.pass_seconds);
  } else {
    seconds = std::accumulate(samples.seconds.begin(), samples.seconds.end(), 0.0);
  }
  const auto tokens = static_cast<double>(record.texts.real_tokens);
  record.reviews_per_s =
      rate(static_cast<double>(samples.judged), seconds, interval, samples.passes());
  record.tokens_per_s = rate(tokens, seconds, interval, samples.passes());
}

record::Stages median_stages(std::span<const StageSeconds> stages) {
  const auto of = [&](double StageSeconds::*stage) {
    std::vector<double> values;
    values.reserve(stages.size());
    for (const StageSeconds& sample : stages) values.push_back(sample.*stage);
    return median(values);
  };
  return {of(&StageSeconds::tokenize), of(&StageSeconds::pack),     of(&StageSeconds::upload),
          of(&StageSeconds::compute),  of(&StageSeconds::download), of(&StageSeconds::decode)};
}

}  // namespace

void fill_texts(const Samples& samples, std::size_t text_count, record::Record& record) {
  record::Texts& texts = record.texts;
  texts.count = text_count;
  texts.real_tokens =
      std::accumulate(samples.tokens.begin(), samples.tokens.end(), std::uint64_t{0});
  texts.computed_tokens = samples.computed_tokens;
  texts.truncated = samples.cut;
  texts.mean_tokens = samples.judged == 0 ? 0
                                          : static_cast<double>(texts.real_tokens) /
                                                static_cast<double>(samples.judged);
  // Of a pass that was cut short nobody knows the rest.
  if (samples.judged == text_count) texts.token_counts = samples.tokens;
}

void summarise(const Samples& samples, std::size_t text_count, record::Record& record) {
  record.passes = samples.passes();
  record.warmup_passes = samples.warmup_passes;
  record.warmup_s = samples.warmup_s;
  record.samples_s = samples.seconds;
  record.sample_positions = samples.positions;
  record.batches_in_flight = samples.batches_in_flight;
  fill_texts(samples, text_count, record);
  if (samples.seconds.empty()) return;
  fill_rates(samples, record);
  if (record.cell.mode == Mode::serial) {
    fill_latency(samples, record);
    record.stages = median_stages(samples.stages);
  }
  if (samples.passes() >= 3) record.spread = relative_spread(samples.pass_seconds);
}

void fill_device_times(const Samples& samples, record::Record& record) {
  if (!record.gpu || record.cell.mode != Mode::serial || samples.stages.empty()) return;
  double on_device = 0;
  for (const StageSeconds& stages : samples.stages) {
    on_device += stages.upload + stages.device_compute + stages.download;
  }
  const double total = std::accumulate(samples.seconds.begin(), samples.seconds.end(), 0.0);
  if (on_device <= 0 || total <= 0) return;  // a runtime without events of its own
  std::vector<StageSeconds> by_events;
  by_events.reserve(samples.stages.size());
  for (const StageSeconds& stages : samples.stages) {
    StageSeconds device;
    device.upload = stages.upload;
    device.compute = stages.device_compute;
    device.download = stages.download;
    by_events.push_back(device);
  }
  record.gpu->event_stages = median_stages(by_events);
  record.gpu->busy_share = on_device / total;
}

std::string bound_by(const record::Stages& stages, const std::optional<record::Gpu>& gpu) {
  const double host = stages.tokenize_s + stages.pack_s + stages.decode_s;
  const double transfer = stages.upload_s + stages.download_s;
  if (host >= std::max(transfer, stages.compute_s)) return "tokenizer";
  if (transfer >= stages.compute_s) return "transfer";
  // The device works for less than half of what the host waits: the launches set the pace.
  const bool idle_device =
      gpu && gpu->event_stages && gpu->event_stages->compute_s < stages.compute_s / 2;
  return idle_device ? "launch" : "compute";
}

}  // namespace breakeven::measure
