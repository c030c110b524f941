// Joules of the GPUs of one row by their own counters, read through NVML (measure/nvml.h) and added
// up. A machine without it, or a GPU without such a counter, is no error: the energy is then not
// available. No estimate from the power limit or from sampled power, and no sum that lacks a GPU.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "measure/nvml.h"
#include "record/record.h"

namespace breakeven::measure {

// Drivers renew the counter every 20 to 100 ms, so that both ends of a window are off by that much:
// at most 4 % of this.
inline constexpr double kMinGpuEnergyWindowSeconds = 5.0;

class NvmlMeter {
 public:
  // UUIDs as the driver names the GPUs ("GPU-..."; "" = not known), one at least. `library` is
  // another file in tests only.
  explicit NvmlMeter(const std::vector<std::string>& uuids,
                     const std::string& library = kNvmlLibrary,
                     const Clock& clock = monotonic_clock());

  bool available() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }

  // As RaplMeter's, with the longer window; of all GPUs together.
  std::optional<double> measure_idle_watts(double seconds);
  void set_idle_watts(double watts) { idle_watts_ = watts; }

  void start();
  void stop();  // several start/stop blocks add up

  // Fills the GPUs' half of `energy` and adds "NVML", or why there is none, to its method.
  void add_to(record::Energy& energy) const;

 private:
  // Of each GPU; nothing when one cannot be read.
  std::optional<std::vector<double>> read_joules() const;

  const Clock& clock_;
  std::vector<NvmlGpu> gpus_;
  std::string why_not_;
  double joules_ = 0, window_s_ = 0, started_s_ = 0;
  std::vector<double> started_joules_;
  bool running_ = false, lost_ = false;
  std::optional<double> idle_watts_;
};

}  // namespace breakeven::measure
