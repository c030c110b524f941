#include "measure/gpu_watch.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

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

}  // namespace

GpuWatch::GpuWatch(record::Gpu known, const std::string& library, double every_s)
    : nvml_(known.uuid, library), every_s_(every_s), seen_(std::move(known)) {
  if (!nvml_.available()) {
    seen_.counters = "not available: " + nvml_.why_not();
    return;
  }
  seen_.counters = "NVML";
  if (const auto name = nvml_.name(); name && seen_.name.empty()) seen_.name = *name;
  seen_.driver = nvml_.driver().value_or(seen_.driver);
  if (const auto cuda = nvml_.cuda(); cuda && seen_.runtime.empty()) seen_.runtime = *cuda;
  seen_.power_limit_w = nvml_.power_limit_w();
}

GpuWatch::~GpuWatch() {
  stop({});
}

void GpuWatch::start() {
  if (!available() || running_) return;
  running_ = true;
  if (every_s_ > 0) looker_ = std::thread([this] { look_until_stopped(); });
}

void GpuWatch::look_until_stopped() {
  std::unique_lock lock(mutex_);
  const auto step = std::chrono::duration<double>(every_s_);
  while (!wake_.wait_for(lock, step, [this] { return !running_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void GpuWatch::look() {
  if (!available()) return;
  const NvmlGpu::Look now = nvml_.look();
  const std::lock_guard lock(mutex_);
  ++seen_.looks;
  keep(now.sm_mhz, sm_mhz_);
  keep(now.memory_mhz, memory_mhz_);
  keep(now.power_w, power_w_);
  keep(now.utilisation, utilisation_);
  if (now.temperature_c) {
    seen_.temperature_c_max = std::max(seen_.temperature_c_max.value_or(0), *now.temperature_c);
  }
  seen_.throttled_looks += std::ranges::any_of(now.throttle_reasons, slows_down) ? 1U : 0U;
  for (const std::string& reason : now.throttle_reasons) {
    if (std::ranges::find(seen_.throttle_reasons, reason) == seen_.throttle_reasons.end()) {
      seen_.throttle_reasons.push_back(reason);
    }
  }
}

void GpuWatch::stop(std::span<const int> our_processes) {
  if (!running_) return;
  look();  // while the GPU is still as it was under load
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
  wake_.notify_all();
  if (looker_.joinable()) looker_.join();
  seen_.foreign_processes =
      std::max(seen_.foreign_processes, nvml_.foreign_processes(our_processes).value_or(0));
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
