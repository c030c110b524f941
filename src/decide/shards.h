// What the records of a job's shards say together: rates and cost of each kind of device, and how
// two kinds agree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "record/record.h"

namespace breakeven::decide {

// What shards' devices are told apart by: "cpu avx512_core_amx", a GPU's name.
std::string device_class(const record::Record& record);

struct DeviceShards {
  std::string device;
  std::uint64_t machines = 0;
  std::uint64_t shards = 0, texts = 0, tokens = 0;
  double seconds = 0;       // of all shards together
  double read_s = 0;        // of these, reading
  double device_hours = 0;  // a share of a machine's cores is a share of its hour
  double texts_per_s() const { return seconds > 0 ? static_cast<double>(texts) / seconds : 0; }
  std::optional<double> cost;  // needs a price
};

struct ShardSummary {
  std::vector<DeviceShards> devices;  // most texts first; shards whose maker is known
  std::uint64_t shards = 0, texts = 0, rejected = 0;
  std::uint64_t adopted = 0;  // shards whose maker is not known
  // Shards that a second kind of device did, too.
  std::uint64_t checked = 0, checked_texts = 0, flips = 0;
  std::optional<double> logit_abs_max{};  // parts of Parquet hold no logits
};
// Of the records of shards among these. Prices are of a machine an hour.
ShardSummary summarise_shards(std::span<const record::Record> records,
                              const std::optional<double>& cpu_price,
                              const std::optional<double>& gpu_price);

}  // namespace breakeven::decide
