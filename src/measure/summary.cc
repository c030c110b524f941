#include "measure/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "measure/rounds.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

using record::Estimate;
using record::Interval;
using record::Record;

// amount ÷ seconds, with the interval of the seconds turned round.
Estimate rate(double amount, const Estimate& seconds) {
  Estimate estimate{amount / seconds.value, std::nullopt, seconds.samples};
  if (seconds.interval) {
    estimate.interval = Interval{amount / seconds.interval->high, amount / seconds.interval->low,
                                 seconds.interval->confidence};
  }
  return estimate;
}

// The values of some records of one device in each round, and each one's estimate over the rounds.
using Values = std::vector<std::pair<Record*, RoundValues>>;

template <class Take>
void over_all(const Values& values, Take&& take) {
  std::vector<RoundValues> cells;
  std::vector<const Record*> records;
  for (const auto& [record, of_rounds] : values) {
    cells.push_back(of_rounds);
    records.push_back(record);
  }
  const Noise noise = pooled_noise(cells, visited_together(records));
  for (const auto& [record, of_rounds] : values) take(*record, over_rounds(of_rounds, noise));
}

bool carried(const Record& record, double share) {
  const auto samples = static_cast<double>(record.samples_s.size());
  const auto rounds = static_cast<double>(record.rounds.size());
  // A median of the same batches again and again needs no count; its rounds are one.
  if (share == 0.5 && record.rounds.size() >= kMinRounds) return true;
  return carries(record.samples_s.size(), share) && samples * (1 - share) >= rounds * (1 - 1e-9);
}

void estimate_rates(const std::vector<Record*>& records) {
  Values values;
  for (Record* record : records) values.emplace_back(record, pass_seconds_by_round(*record));
  over_all(values, [](Record& record, const Estimate& seconds) {
    record.reviews_per_s = rate(static_cast<double>(record.texts.count), seconds);
    record.tokens_per_s = rate(static_cast<double>(record.texts.real_tokens), seconds);
  });
}

void estimate_percentile(const std::vector<Record*>& records, const Percentile& which) {
  Values values;
  for (Record* record : records) {
    if (record->cell.mode != Mode::serial || !carried(*record, which.share)) continue;
    values.emplace_back(record, percentile_by_round(*record, which.share));
  }
  over_all(values, [&](Record& record, Estimate seconds) {
    seconds.samples = record.samples_s.size();
    record.latency_s[which.name] = seconds;
  });
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
  record.rounds = samples.visits;
  record.samples_s = samples.seconds;
  record.sample_positions = samples.positions;
  record.sample_rounds = samples.rounds;
  record.sample_start_s = samples.start_s;
  record.batches_in_flight = samples.batches_in_flight;
  fill_texts(samples, text_count, record);
  if (samples.seconds.empty()) return;
  if (record.cell.mode == Mode::serial) {
    record.latency_note = samples.batches_per_pass > 1
                              ? fmt::format("over a mix of lengths: {} batches, {} times",
                                            samples.batches_per_pass, samples.passes())
                              : fmt::format("one batch, {} times", samples.passes());
    record.stages = median_stages(samples.stages);
  }
  if (samples.passes() >= 3) record.spread = relative_spread(samples.pass_seconds);
}

void estimate_from_rounds(std::span<record::Record* const> records) {
  std::map<Device, std::vector<Record*>> by_device;
  for (Record* record : records) {
    // A row that failed has none; a made-up clock may stand still.
    const bool timed =
        std::ranges::all_of(record->samples_s, [](double seconds) { return seconds > 0; });
    if (record->cell.mode == Mode::paced || record->rounds.empty() || !timed) continue;
    by_device[record->cell.device].push_back(record);
  }
  for (const auto& [device, of_device] : by_device) {
    estimate_rates(of_device);
    for (const Percentile& each : kPercentiles) estimate_percentile(of_device, each);
  }
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

EnergyFor1000 energy_for_1000(const record::Record& record) {
  const record::Energy& energy = record.energy;
  const auto sum = [&](const std::optional<double>& host,
                       const std::optional<double>& gpu) -> std::optional<double> {
    const bool on_gpu = !record.cell.device.is_cpu();
    if (energy.texts == 0 || !host || (on_gpu && !gpu)) return std::nullopt;
    const double joules = *host + (on_gpu ? *gpu : 0);
    if (!std::isfinite(joules)) return std::nullopt;
    return joules * 1000 / static_cast<double>(energy.texts);
  };
  return {sum(energy.host_joules_gross, energy.gpu_joules_gross),
          sum(energy.host_joules_net, energy.gpu_joules_net)};
}

}  // namespace breakeven::measure
