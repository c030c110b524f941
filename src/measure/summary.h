// From samples to the numbers of a record: what one cell's samples tell, and what takes the other
// cells of its run.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "measure/sampler.h"
#include "record/record.h"

namespace breakeven::measure {

// Fills what follows from the samples of one cell: passes, warm-up, rounds, samples_s,
// sample_positions, sample_rounds, sample_start_s, latency_note, spread, stages, batches_in_flight,
// and what fill_texts() does. record.cell must be set.
void summarise(const Samples& samples, std::size_t text_count, record::Record& record);

// texts.count/real_tokens/computed_tokens/mean_tokens/truncated/token_counts alone.
void fill_texts(const Samples& samples, std::size_t text_count, record::Record& record);

// The percentiles that a record may hold, in ascending order.
struct Percentile {
  const char* name;
  double share;
};
inline constexpr Percentile kPercentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}};

// Fills reviews_per_s, tokens_per_s and latency_s of the closed-loop records among these from their
// rounds. All that were measured in the same rounds belong into one call: noise is pooled over the
// cells of a device. A high percentile takes samples enough (carries()), and in each round as many
// as make one of them lie above it.
void estimate_from_rounds(std::span<record::Record* const> records);

// Serial rows on a GPU: the device's own times beside the host's, into record.gpu, which must be
// set; nothing for a runtime without device events.
void fill_device_times(const Samples& samples, record::Record& record);

// Which stage bounds the row: "tokenizer", "transfer" or "compute" by the largest share of the
// stages; "launch" when device events show the device idle for most of compute (GPU rows).
std::string bound_by(const record::Stages& stages, const std::optional<record::Gpu>& gpu);

// Joules for 1,000 texts by the counters of all that worked on them: the host's alone on a CPU, and
// a GPU's with the host's. A side that was not counted makes the sum unknown.
struct EnergyFor1000 {
  std::optional<double> gross, net;  // net: idle power × time taken off
};
EnergyFor1000 energy_for_1000(const record::Record& record);

}  // namespace breakeven::measure
