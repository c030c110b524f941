// A record in which every field holds something other than its default.
#pragma once

#include "record/record.h"

namespace breakeven::record {

inline Estimate example_estimate(double value) {
  return {value, Interval{value * 0.99, value * 1.02, 0.95}, 17};
}

inline void fill_outcome(Record& record) {
  record.reasons = {{"steal", "the hypervisor took time", 0.023, 0.01, Severity::note},
                    {"parity", "labels differ", 3, 0, Severity::invalid}};
  record.parity =
      Parity{"native cpu fp32",         1000, 2, 0.125, 0.0625, 1.75, 1e-7, 1e-3, Agreement::failed,
             {"model/int8/flips_share"}};
  record.accuracy = Accuracy{1000, 640, 0.91, {0.885, 0.93, 0.95}};
  record.memory = Memory{1, 2, 3, 4, 5, 9, 6, 7, 10, 8, "malloc hooks"};
  record.cold_start = ColdStart{0.5, 0.25, 0.125, 0.0625};
  record.energy = Energy{10.5, 8.25, 100.0, 75.5, 2.5, 640, "RAPL"};
  record.conditions = Conditions{10, 19.5, 0.001, 0.002, 1.5, 11, 12, 13, 2700, 2100, 71.5, 4};
  record.gpu = Gpu{"H100", "GPU-1", "580.1", "13.0",        80000000000, Stages{1, 2, 3, 4, 5, 6},
                   0.9,    0.8,     1980.0,  1755.0,        1985.0,      2619.0,
                   64.0,   650.0,   700.0,   {"power cap"}, 40,          3,
                   2,      "NVML"};
  record.scaling = Scaling{{{10, 2, 3100, example_estimate(0.5), -0.01}},
                           example_estimate(0.01),
                           example_estimate(0.05),
                           example_estimate(1.01),
                           0.03,
                           Linearity::linear};
}

inline void fill_place(Record& record) {
  record.machine.hostname_hash = "ab12";
  record.machine.cpu_model = "A CPU";
  record.machine.instruction_set = "avx512_core_amx";
  record.machine.kernel = "6.1";
  record.machine.os = "Debian 12";
  record.machine.governor = "performance";
  record.machine.hypervisor = "KVM";
  record.machine.microcode = "0x1";
  record.machine.cpu_flags = {"avx2", "amx_int8"};
  record.machine.sockets = 1;
  record.machine.cores = 2;
  record.machine.threads_per_core = 2;
  record.machine.numa_nodes = 1;
  record.machine.cpus_usable = 2;
  record.machine.cpu_quota = 1.5;
  record.machine.memory_bytes = 1000;
  record.machine.memory_limit_bytes = 900;
  record.machine.more = {{"turbo", "on"}};
  record.build = {"0.1.0", "abc", "GCC 12", "-O3", "Release", true, {{"highway", "1.0.3"}}};
}

inline Record example_record() {
  Record record;
  record.kind = record::Kind::scaling;
  record.run_id = "r1";
  record.started_at = "2026-11-21T20:44:00Z";
  record.command = {"breakeven", "run", "--batch", "1,32", "a \"quoted\" \xC3\xA9 text\n"};
  record.cell = {{"onnxruntime", "tuned"},
                 Device{{0}},
                 Precision::int8,
                 4,
                 128,
                 32,
                 Padding::longest,
                 Mode::paced,
                 12.5,
                 Arrivals::poisson,
                 0.005};
  record.model_name = "builtin";
  record.model_hash = "00ff";
  record.model_shape = {6, 768, 12, 3072};
  record.instruction_set = "avx2";
  record.tokenizer = "breakeven";
  record.runtime_settings = {{"streams", "2"}};
  record.texts = {"imdb", "beef", "joined", 64, 60, 9, 20000, 24000, 312.5};
  record.passes = 12;
  record.warmup_passes = 4;
  record.warmup_s = 3.5;
  record.samples_s = {0.1, 1.0 / 3.0, 1e-9, 12345.678901234567};
  record.sample_positions = {0, 1, 0, 4294967295U};
  record.rounds = {{0, 1.5, 2, 0.25, 0.005}, {1, 9.5, 1, 0.5, std::nullopt}};
  record.sample_rounds = {0, 0, 0, 1};
  record.sample_start_s = {1.5, 1.75, 2, 9.5};
  record.schedule_late_s = {0, 1e-6};
  record.latency_s = {{"p50", example_estimate(0.2)}, {"p99.9", {0.3, std::nullopt, 7000}}};
  record.latency_note = "over a mix of lengths";
  record.reviews_per_s = example_estimate(123);
  record.tokens_per_s = example_estimate(45678);
  record.spread = 0.01;
  record.stages = Stages{1, 2, 3, 4, 5, 6};
  record.batches_in_flight = 3;
  record.bound = "compute";
  record.paced = Paced{900, 880, 9.5, true, 0.97, 3.25, 0.011, 0.007, 0.0004, 3, 17, 0.05};
  fill_outcome(record);
  fill_place(record);
  return record;
}

}  // namespace breakeven::record
