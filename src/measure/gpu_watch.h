// Watches the GPUs of a cell while it is timed: clocks, heat, power, what slows them down, who else
// uses them. Through NVML; without it the row keeps what the driver said, and says why the rest is
// missing.
#pragma once

#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "measure/nvml.h"
#include "measure/repeater.h"
#include "record/record.h"

namespace breakeven::measure {

// Often enough to see a clock fall, rarely enough to cost nothing: a look takes about a
// millisecond.
inline constexpr double kGpuLookEvery_s = 0.25;

class GpuWatch {
 public:
  // `known`: what the driver said of each GPU, one at least; its UUID tells NVML which one. A
  // thread looks every so many seconds between start() and stop(); 0 = only look() does.
  explicit GpuWatch(std::vector<record::Gpu> known, const std::string& library = kNvmlLibrary,
                    double every_s = kGpuLookEvery_s);
  GpuWatch(const GpuWatch&) = delete;
  GpuWatch& operator=(const GpuWatch&) = delete;
  ~GpuWatch();

  bool available() const { return available_; }  // of all of them

  void start();
  void look();
  // The last look of this block, and how many processes other than these compute on the GPUs.
  // Several start/stop blocks add up.
  void stop(std::span<const int> our_processes);

  // Several GPUs as one: names, UUIDs and throttle reasons of all, memory, power, its limit and
  // foreign processes added up, clocks and utilisation over all looks at each, the highest
  // temperature; a look is throttled when one GPU was.
  record::Gpu gpu() const;

 private:
  std::vector<NvmlGpu> nvml_;
  const double every_s_;
  record::Gpu seen_;
  bool available_ = true;
  mutable std::mutex mutex_;
  bool running_ = false;
  Repeater looker_;
  std::vector<double> sm_mhz_, memory_mhz_, power_w_, utilisation_;
};

// What a GPU row adds to the memory of a fresh process: made before the engine takes any.
class DeviceMemoryMeter {
 public:
  explicit DeviceMemoryMeter(const std::string& uuid, const std::string& library = kNvmlLibrary);

  // `own_peak_bytes`: by the engine's own allocator. What the system sees is NVML's count for
  // `processes`, or, where it lists none of them (a container), what the GPU's use grew by.
  void add_to(record::Memory& memory, std::uint64_t own_peak_bytes,
              std::span<const int> processes) const;

 private:
  NvmlGpu nvml_;
  std::optional<NvmlGpu::MemoryUse> before_;
};

}  // namespace breakeven::measure
