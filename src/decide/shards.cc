#include "decide/shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace breakeven::decide {
namespace {

// The share of a machine that the shard had: some of its cores, or a whole GPU.
double share_of_machine(const record::Record& record) {
  if (!record.cell.device.is_cpu() || record.machine.cores == 0) return 1;
  return std::min(1.0, static_cast<double>(record.cell.threads) / record.machine.cores);
}

}  // namespace

std::string device_class(const record::Record& record) {
  if (record.gpu && !record.gpu->name.empty()) return record.gpu->name;
  if (!record.cell.device.is_cpu()) return to_string(record.cell.device);
  return fmt::format("cpu {}", record.instruction_set);
}

ShardSummary summarise_shards(std::span<const record::Record> records,
                              const std::optional<double>& cpu_price,
                              const std::optional<double>& gpu_price) {
  ShardSummary all;
  std::map<std::string, DeviceShards> devices;
  std::map<std::string, std::set<std::string>> machines;
  for (const record::Record& record : records) {
    if (record.kind != record::Kind::shard || !record.shard) continue;
    const record::Shard& shard = *record.shard;
    if (record.parity) {
      ++all.checked;
      all.checked_texts += record.parity->texts;
      all.flips += record.parity->flips;
      if (record.parity->logit_sigma > 0) {  // else nobody saw logits
        all.logit_abs_max = std::max(all.logit_abs_max.value_or(0), record.parity->logit_abs_max);
      }
      continue;
    }
    ++all.shards;
    all.texts += shard.rows;
    all.rejected += shard.rejected;
    if (shard.adopted) {
      ++all.adopted;
      continue;
    }
    const std::string name = device_class(record);
    DeviceShards& device = devices[name];
    device.device = name;
    ++device.shards;
    device.texts += shard.rows;
    device.tokens += record.texts.real_tokens;
    device.seconds += shard.seconds;
    device.read_s += shard.read_s;
    device.device_hours += shard.seconds / 3600 * share_of_machine(record);
    machines[name].insert(record.machine.hostname_hash);
    const std::optional<double>& price = record.cell.device.is_cpu() ? cpu_price : gpu_price;
    if (price) device.cost = device.device_hours * *price;
  }
  for (auto& [name, device] : devices) {
    device.machines = machines[name].size();
    all.devices.push_back(std::move(device));
  }
  std::stable_sort(all.devices.begin(), all.devices.end(),
                   [](const auto& a, const auto& b) { return a.texts > b.texts; });
  return all;
}

}  // namespace breakeven::decide
