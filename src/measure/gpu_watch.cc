#include "measure/gpu_watch.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

std::optional<double> median_of(const std::vector<double>& values) {
  return values.empty() ? std::nullopt : std::optional(median(values));
}

std::optional<double> mean_of(const std::vector<double>& values) {
  return values.empty() ? std::nullopt : std::optional(mean(values));
}

void keep(const std::optional<double>& value, std::vector<double>& values) {
  if (value) values.push_back(*value);
}

// Nothing when one of them has none.
template <class Number>
std::optional<Number> sum_of(const std::vector<std::optional<Number>>& values) {
  Number sum{};
  for (const std::optional<Number>& value : values) {
    if (!value) return std::nullopt;
    sum += *value;
  }
  return sum;
}

// "2 x NVIDIA H100", or "NVIDIA H100 + NVIDIA L4".
std::string names_of(const std::vector<record::Gpu>& gpus) {
  const std::string& first = gpus.front().name;
  const bool alike = std::ranges::all_of(gpus, [&](const auto& gpu) { return gpu.name == first; });
  if (gpus.size() == 1 || (alike && first.empty())) return first;
  if (alike) return std::to_string(gpus.size()) + " x " + first;
  std::string names = first;
  for (std::size_t i = 1; i < gpus.size(); ++i) names += " + " + gpus[i].name;
  return names;
}

record::Gpu together(const std::vector<record::Gpu>& gpus) {
  BREAKEVEN_CHECK(!gpus.empty());
  record::Gpu all = gpus.front();
  all.name = names_of(gpus);
  for (std::size_t i = 1; i < gpus.size(); ++i) {
    all.uuid += " + " + gpus[i].uuid;
    all.memory_bytes += gpus[i].memory_bytes;
  }
  return all;
}

}  // namespace

GpuWatch::GpuWatch(std::vector<record::Gpu> known, const std::string& library, double every_s)
    : every_s_(every_s) {
  std::vector<std::optional<double>> limits_w;
  std::vector<double> limits_mhz;
  for (record::Gpu& gpu : known) {
    const NvmlGpu& nvml = nvml_.emplace_back(gpu.uuid, library);
    if (gpu.name.empty()) gpu.name = nvml.name().value_or("");
    limits_w.push_back(nvml.power_limit_w());
    keep(nvml.sm_mhz_limit(), limits_mhz);
  }
  seen_ = together(known);
  const auto missing =
      std::ranges::find_if(nvml_, [](const NvmlGpu& gpu) { return !gpu.available(); });
  if (missing != nvml_.end()) {
    available_ = false;
    seen_.counters = "not available: " + missing->why_not();
    return;
  }
  seen_.counters = "NVML";
  seen_.driver = nvml_.front().driver().value_or(seen_.driver);
  if (seen_.runtime.empty()) seen_.runtime = nvml_.front().cuda().value_or("");
  seen_.power_limit_w = sum_of(limits_w);
  if (!limits_mhz.empty()) seen_.sm_mhz_limit = *std::ranges::min_element(limits_mhz);
}

GpuWatch::~GpuWatch() {
  stop({});
}

void GpuWatch::start() {
  if (!available() || running_) return;
  running_ = true;
  if (every_s_ > 0) looker_.start(every_s_, [this] { look(); });
}

void GpuWatch::look() {
  if (!available()) return;
  std::vector<NvmlGpu::Look> looks;
  for (const NvmlGpu& gpu : nvml_) looks.push_back(gpu.look());
  const std::lock_guard lock(mutex_);
  ++seen_.looks;
  bool throttled = false;
  std::vector<std::optional<double>> power_w;
  for (const NvmlGpu::Look& now : looks) {
    keep(now.sm_mhz, sm_mhz_);
    keep(now.memory_mhz, memory_mhz_);
    keep(now.utilisation, utilisation_);
    power_w.push_back(now.power_w);
    if (now.temperature_c) {
      seen_.temperature_c_max = std::max(seen_.temperature_c_max.value_or(0), *now.temperature_c);
    }
    throttled = throttled || std::ranges::any_of(now.throttle_reasons, slows_down);
    for (const std::string& reason : now.throttle_reasons) {
      if (std::ranges::find(seen_.throttle_reasons, reason) == seen_.throttle_reasons.end()) {
        seen_.throttle_reasons.push_back(reason);
      }
    }
  }
  keep(sum_of(power_w), power_w_);
  seen_.throttled_looks += throttled ? 1U : 0U;
}

void GpuWatch::stop(std::span<const int> our_processes) {
  if (!running_) return;
  look();  // while the GPU is still as it was under load
  looker_.stop();
  running_ = false;
  std::uint64_t foreign = 0;
  for (const NvmlGpu& gpu : nvml_) foreign += gpu.foreign_processes(our_processes).value_or(0);
  seen_.foreign_processes = std::max(seen_.foreign_processes, foreign);
}

record::Gpu GpuWatch::gpu() const {
  const std::lock_guard lock(mutex_);
  record::Gpu gpu = seen_;
  gpu.sm_mhz_median = median_of(sm_mhz_);
  if (!sm_mhz_.empty()) gpu.sm_mhz_min = *std::ranges::min_element(sm_mhz_);
  gpu.memory_mhz_median = median_of(memory_mhz_);
  gpu.power_w_mean = mean_of(power_w_);
  gpu.utilisation_share = mean_of(utilisation_);
  return gpu;
}

DeviceMemoryMeter::DeviceMemoryMeter(const std::string& uuid, const std::string& library)
    : nvml_(uuid, library), before_(nvml_.memory({})) {}

void DeviceMemoryMeter::add_to(record::Memory& memory, std::uint64_t own_peak_bytes,
                               std::span<const int> processes) const {
  memory.device_peak_allocated_bytes = own_peak_bytes;
  const auto now = nvml_.memory(processes);
  if (!now || !before_) return;
  memory.device_total_bytes = now->total_bytes;
  const std::uint64_t grown =
      now->used_bytes > before_->used_bytes ? now->used_bytes - before_->used_bytes : 0;
  const std::uint64_t used = now->by_those.value_or(grown);
  memory.device_used_bytes = used;
  memory.device_library_bytes = used > own_peak_bytes ? used - own_peak_bytes : 0;
}

}  // namespace breakeven::measure
