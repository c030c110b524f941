// Made-up records for the advice's tests: nothing measured. A CPU machine that is quick to answer
// one text and a GPU machine that is quick with many.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "record/record.h"

namespace breakeven::testing {

// Of a made-up engine: a batch takes a + b·tokens + c·Σ length².
struct Engine {
  Device device;
  double a_s = 0.0002, b_s = 4e-5, c_s = 2e-8;
  // Throughput of `stream` over what serial batches give.
  double pipelining = 1.1;
};
Engine cpu_engine();
Engine gpu_engine();

// 64 lengths from 20 to 512 tokens, mean about 200, in an order that mixes them.
std::vector<std::uint32_t> made_up_lengths();

// One cell, exact times, five identical passes, parity passed; the interval of its rate is ± 1 %.
record::Record made_up(const Engine& engine, Precision precision, std::uint64_t batch, Mode mode,
                       Padding padding = Padding::none);
// A paced cell with this p99 (± 2 %) on 2,000 requests.
record::Record made_up_paced(const Engine& engine, Precision precision, std::uint64_t batch,
                             double rate_per_s, double p99_s);

// fp32 and a twice faster int8 (on the GPU: fp16), batches 1, 8 and 32, serial and stream.
std::vector<record::Record> cpu_run();
std::vector<record::Record> gpu_run();
std::vector<record::Record> both_runs();

}  // namespace breakeven::testing
