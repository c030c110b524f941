#include "decide/made_up_records.h"

#include <algorithm>
#include <numeric>

#include "decide/latency_model.h"

namespace breakeven::testing {
namespace {

constexpr std::size_t kPasses = 5;

double factor_of(Precision precision) {
  return precision == Precision::fp32 ? 1.0 : 0.5;
}

record::Record bare_record(const Engine& engine, Precision precision, std::uint64_t batch,
                           Mode mode, Padding padding) {
  record::Record record;
  record.cell.device = engine.device;
  record.cell.precision = precision;
  record.cell.batch = batch;
  record.cell.threads = 4;
  record.cell.mode = mode;
  record.cell.padding = padding;
  record.model_name = "made-up";
  record.model_hash = "cafe";
  record.texts.name = "made-up texts";
  record.texts.hash = "beef";
  record.texts.token_counts = made_up_lengths();
  record.texts.count = record.texts.token_counts.size();
  record.texts.real_tokens =
      std::accumulate(record.texts.token_counts.begin(), record.texts.token_counts.end(), 0UL);
  record.texts.mean_tokens =
      static_cast<double>(record.texts.real_tokens) / static_cast<double>(record.texts.count);
  record.parity = record::Parity{};
  record.parity->texts = 1000;
  record.parity->outcome = record::Agreement::passed;
  record.parity->accuracy_loss = precision == Precision::fp32 ? 0.0 : 0.002;
  record.memory = record::Memory{};
  record.memory->peak_rss_bytes = engine.device.is_cpu() ? 400'000'000 : 1'500'000'000;
  record.machine.hostname_hash = engine.device.is_cpu() ? "aa" : "bb";
  record.machine.cpu_model = engine.device.is_cpu() ? "Made-up CPU" : "Made-up host";
  if (!engine.device.is_cpu()) {
    record.gpu = record::Gpu{};
    record.gpu->name = "Made-up GPU";
    record.memory->device_used_bytes = 1'000'000'000;
  }
  return record;
}

void set_rate(record::Record& record, double per_s) {
  record.reviews_per_s = {per_s, record::Interval{0.99 * per_s, 1.01 * per_s, 0.95}, kPasses};
}

}  // namespace

Engine cpu_engine() {
  return {};
}

Engine gpu_engine() {
  // Fifty times the throughput, but launching costs 4 ms a batch.
  return {Device{{0}}, 0.004, 1e-6, 2e-10, 1.5};
}

std::vector<std::uint32_t> made_up_lengths() {
  std::vector<std::uint32_t> lengths;
  for (std::uint32_t i = 0; i < 64; ++i) {
    const std::uint32_t place = i * 37 % 64;  // 37 and 64 share no divisor: every place once
    lengths.push_back(std::min<std::uint32_t>(512, 20 + place * place / 7));
  }
  return lengths;
}

record::Record made_up(const Engine& engine, Precision precision, std::uint64_t batch, Mode mode,
                       Padding padding) {
  record::Record record = bare_record(engine, precision, batch, mode, padding);
  const auto shapes =
      decide::shapes_of(record.texts.token_counts, batch, padding, record.cell.max_length);
  double pass = 0;
  double computed = 0;
  std::vector<double> seconds;
  for (const decide::Shape& shape : shapes) {
    seconds.push_back(factor_of(precision) *
                      (engine.a_s + engine.b_s * shape.tokens + engine.c_s * shape.squares));
    pass += seconds.back();
    computed += shape.tokens;
  }
  record.texts.computed_tokens = static_cast<std::uint64_t>(computed);
  record.passes = kPasses;
  const auto texts = static_cast<double>(record.texts.count);
  for (std::size_t repeat = 0; repeat < kPasses; ++repeat) {
    if (mode == Mode::stream) {
      record.samples_s.push_back(pass / engine.pipelining);
      continue;
    }
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      record.samples_s.push_back(seconds[i]);
      record.sample_positions.push_back(static_cast<std::uint32_t>(i));
    }
  }
  set_rate(record, texts / pass * (mode == Mode::stream ? engine.pipelining : 1.0));
  return record;
}

record::Record made_up_paced(const Engine& engine, Precision precision, std::uint64_t batch,
                             double rate_per_s, double p99_s) {
  record::Record record = bare_record(engine, precision, batch, Mode::paced, Padding::none);
  record.cell.rate_per_s = rate_per_s;
  record.cell.arrivals = Arrivals::poisson;
  record.cell.max_wait_s = 0.005;
  record.samples_s.assign(2000, p99_s / 2);
  record.latency_s["p99"] = {p99_s, record::Interval{0.98 * p99_s, 1.02 * p99_s, 0.95}, 2000};
  set_rate(record, rate_per_s);
  return record;
}

std::vector<record::Record> cpu_run() {
  std::vector<record::Record> records;
  for (const Precision precision : {Precision::fp32, Precision::int8}) {
    for (const std::uint64_t batch : {1U, 8U, 32U}) {
      for (const Mode mode : {Mode::serial, Mode::stream}) {
        records.push_back(made_up(cpu_engine(), precision, batch, mode));
      }
    }
  }
  return records;
}

std::vector<record::Record> gpu_run() {
  std::vector<record::Record> records;
  for (const Precision precision : {Precision::fp32, Precision::fp16}) {
    for (const std::uint64_t batch : {1U, 8U, 32U}) {
      for (const Mode mode : {Mode::serial, Mode::stream}) {
        records.push_back(made_up(gpu_engine(), precision, batch, mode));
      }
    }
  }
  return records;
}

std::vector<record::Record> both_runs() {
  std::vector<record::Record> records = cpu_run();
  for (record::Record& record : gpu_run()) records.push_back(std::move(record));
  return records;
}

}  // namespace breakeven::testing
