#include "report/sample_records.h"

#include <cmath>

namespace breakeven::testing {
namespace {

record::Machine sample_machine() {
  record::Machine machine;
  machine.hostname_hash = "aa";
  machine.cpu_model = "Example CPU 9000";
  machine.instruction_set = "avx512_core_amx";
  machine.cpus_usable = 2;
  machine.more["gpu_note"] = "no GPU was seen: libcuda.so.1 is not installed";
  return machine;
}

record::Parity sample_parity(Precision precision) {
  record::Parity parity;
  parity.judge = "native cpu fp32";
  parity.texts = 128;
  parity.logit_sigma = 1.5;
  const double step = precision == Precision::fp32   ? 1e-6
                      : precision == Precision::bf16 ? 0.01
                                                     : 0.05;
  parity.logit_abs_max = 3 * step;
  parity.logit_abs_p99 = 2 * step;
  parity.outcome = record::Agreement::unproven;
  return parity;
}

void fill_latency(record::Record& record, double batch_s) {
  record.latency_s["p50"] = {batch_s, record::Interval{0.98 * batch_s, 1.03 * batch_s}, 640};
  if (record.cell.batch == 1) {
    record.latency_s["p90"] = {1.7 * batch_s, {}, 640};
    record.latency_s["p95"] = {1.8 * batch_s, {}, 640};
  }
  record.stages =
      record::Stages{0.001 * batch_s, 0.0004 * batch_s, 0, 0.9985 * batch_s, 0, 0.0001 * batch_s};
}

}  // namespace

record::Record sample_record(Precision precision, std::uint64_t batch, Mode mode,
                             double seconds_per_review) {
  record::Record record;
  record.run_id = "2026-01-01T00:00:00Z-1";
  record.started_at = "2026-01-01T00:00:10Z";
  record.cell.precision = precision;
  record.cell.batch = batch;
  record.cell.threads = 2;
  record.cell.mode = mode;
  record.model_name = "builtin (6 x 768)";
  record.model_hash = "cafe";
  record.texts = {"built-in reviews", "beef", "", 128, 60, 18, 33'000, 33'000, 257.8};
  record.passes = 5;
  const double batch_s = seconds_per_review * static_cast<double>(batch);
  if (mode == Mode::serial) {
    record.samples_s.assign(5 * 128 / batch, batch_s);
    fill_latency(record, batch_s);
  } else {
    record.samples_s.assign(5, seconds_per_review * 128);
    record.batches_in_flight = 2;
  }
  const double rate = 1 / seconds_per_review;
  record.reviews_per_s = {rate, record::Interval{0.99 * rate, 1.01 * rate}, 5};
  record.tokens_per_s = {rate * 257.8, {}, 5};
  record.bound = "compute";
  record.parity = sample_parity(precision);
  record.accuracy = record::Accuracy{128, 60, 0.914, {0.82, 0.96, 0.95}};
  record::Memory memory;
  memory.weight_bytes = precision == Precision::fp32   ? 268'000'000
                        : precision == Precision::bf16 ? 180'000'000
                                                       : 120'000'000;
  memory.activation_bytes = 4'000'000 * batch;
  memory.library_bytes = 3'000'000;
  memory.peak_allocated_bytes =
      memory.weight_bytes + memory.activation_bytes + memory.library_bytes;
  memory.peak_rss_bytes = memory.peak_allocated_bytes + 60'000'000;
  record.memory = memory;
  if (mode == Mode::serial) record.cold_start = record::ColdStart{1.84, 1.2, 0.5, 0.14};
  record.machine = sample_machine();
  record.build.version = "0.1.0";
  record.build.commit = "abc";
  return record;
}

std::vector<record::Record> sample_run() {
  std::vector<record::Record> records;
  for (const std::uint64_t batch : {1U, 32U}) {
    for (const auto& [precision, seconds] :
         {std::pair{Precision::fp32, 0.112}, std::pair{Precision::bf16, 0.0153},
          std::pair{Precision::int8, 0.0108}}) {
      for (const Mode mode : {Mode::serial, Mode::stream}) {
        const double faster = (batch == 32 ? 1.1 : 1.0) * (mode == Mode::stream ? 1.2 : 1.0);
        records.push_back(sample_record(precision, batch, mode, seconds / faster));
      }
    }
  }
  return records;
}

std::vector<record::Record> sample_run_of_runtimes() {
  std::vector<record::Record> records = sample_run();
  for (record::Record& record : records) {
    record.other_parity = record.parity;
    record.other_parity->judge = "pytorch:seed cpu fp32";
  }
  for (const std::uint64_t batch : {1U, 32U}) {
    for (const Mode mode : {Mode::serial, Mode::stream}) {
      record::Record torch = sample_record(Precision::fp32, batch, mode, 0.25);
      torch.cell.runtime.name = "pytorch";
      torch.cell.runtime.variant = "seed";
      torch.cell.padding = Padding::max_length;
      torch.texts.computed_tokens = 128 * 512;
      torch.tokenizer = "tokenizers 1.2.3";
      torch.runtime_settings = {{"version", "9.8.7"}, {"attention", "sdpa"}};
      if (torch.stages) torch.stages->tokenize_s = 0.2 * torch.stages->compute_s;
      records.push_back(torch);
      record::Record vino = sample_record(Precision::bf16, batch, mode, 0.011);
      vino.cell.runtime.name = "openvino";
      vino.cell.runtime.variant = "plain";
      vino.cell.padding = Padding::longest;
      vino.texts.computed_tokens = 50'000;
      vino.tokenizer = "tokenizers 1.2.3";
      vino.runtime_settings = {{"version", "2099.1"}, {"hint", "LATENCY"}};
      records.push_back(vino);
    }
  }
  return records;
}

std::vector<record::Record> sample_paced() {
  struct Load {
    Precision precision;
    double rate, median_s;
    std::size_t requests;
    bool saturated;
  };
  std::vector<record::Record> records;
  for (const Load& load :
       {Load{Precision::bf16, 10, 0.021, 700, false}, Load{Precision::bf16, 40, 0.034, 2800, false},
        Load{Precision::bf16, 200, 4.1, 9000, true}, Load{Precision::fp32, 5, 0.19, 90, false}}) {
    record::Record record = sample_record(load.precision, 8, Mode::paced, 0.015);
    record.cell.rate_per_s = load.rate;
    record.cell.arrivals = Arrivals::poisson;
    record.cell.max_wait_s = 0.005;
    record.passes = 0;
    record.bound.clear();
    record.samples_s.assign(load.requests, load.median_s);
    record.schedule_late_s.assign(load.requests, 1e-4);
    record.reviews_per_s = {load.saturated ? 71.5 : load.rate, {}, load.requests};
    record.tokens_per_s = {record.reviews_per_s.value * 257.8, {}, load.requests};
    record.paced = record::Paced{load.requests,
                                 load.saturated ? 5000U : load.requests,
                                 20,
                                 load.saturated,
                                 load.saturated ? 1.0 : load.rate * 0.016,
                                 load.saturated ? 8.0 : 1.0 + load.rate / 40,
                                 load.median_s / 4,
                                 0.0155,
                                 0.0003,
                                 12,
                                 1,
                                 std::nullopt};
    if (!load.saturated) {
      record.latency_s["p50"] = {load.median_s,
                                 record::Interval{0.97 * load.median_s, 1.04 * load.median_s},
                                 load.requests};
      record.latency_s["p90"] = {2 * load.median_s, {}, load.requests};
      if (load.requests > 662) record.latency_s["p99"] = {3 * load.median_s, {}, load.requests};
    }
    record.cold_start = record::ColdStart{1.84, 1.2, 0.5, 0.14};
    records.push_back(record);
  }
  return records;
}

std::vector<record::Record> sample_scaling() {
  std::vector<record::Record> records;
  for (const std::uint64_t batch : {1U, 32U}) {
    record::Record record = sample_record(Precision::bf16, batch, Mode::serial, 0.0153);
    record.kind = record::Kind::scaling;
    record::Scaling scaling;
    const double per_text = batch == 1 ? 0.0153 : 0.0129;
    for (std::uint64_t texts = 32; texts <= 4096; texts *= 2) {
      record::ScalingPoint point;
      point.texts = texts;
      point.batches = (texts + batch - 1) / batch;
      point.tokens = 258 * texts;
      const double seconds = 0.0004 + per_text * static_cast<double>(texts);
      point.seconds = {seconds, record::Interval{0.99 * seconds, 1.01 * seconds}, 5};
      point.residual_s = (texts % 3 == 1 ? 0.004 : -0.003) * seconds;
      scaling.points.push_back(point);
    }
    scaling.intercept_s = {0.0004, record::Interval{-0.001, 0.002}};
    scaling.slope_s_per_text = {per_text, record::Interval{0.995 * per_text, 1.005 * per_text}};
    scaling.log_log_slope = {1.001, record::Interval{0.995, 1.007}};
    scaling.residual_relative_max = 0.004;
    scaling.outcome = record::Linearity::linear;
    record.scaling = scaling;
    records.push_back(record);
  }
  return records;
}

}  // namespace breakeven::testing
