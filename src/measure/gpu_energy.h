// Joules of a GPU by its own counter, read through NVML (measure/nvml.h). A machine without it, or
// a GPU without such a counter, is no error: the energy is then not available. No estimate from the
// power limit or from sampled power.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "measure/clock.h"
#include "measure/nvml.h"
#include "record/record.h"

namespace breakeven::measure {

// Drivers renew the counter every 20 to 100 ms, so that both ends of a window are off by that much:
// at most 4 % of this.
inline constexpr double kMinGpuEnergyWindowSeconds = 5.0;

class NvmlMeter {
 public:
  // `uuid` as the driver names the GPU ("GPU-..."; "" = not known). `library` is another file in
  // tests only.
  explicit NvmlMeter(const std::string& uuid, const std::string& library = kNvmlLibrary,
                     const Clock& clock = monotonic_clock());

  bool available() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }

  // As RaplMeter's, with the longer window.
  std::optional<double> measure_idle_watts(double seconds);
  void set_idle_watts(double watts) { idle_watts_ = watts; }

  void start();
  void stop();  // several start/stop blocks add up

  // Fills the GPU's half of `energy` and adds "NVML", or why there is none, to its method.
  void add_to(record::Energy& energy) const;

 private:
  std::optional<double> read_joules() const;

  const Clock& clock_;
  NvmlGpu gpu_;
  std::string why_not_;
  double joules_ = 0, window_s_ = 0, started_s_ = 0, started_joules_ = 0;
  bool running_ = false, lost_ = false;
  std::optional<double> idle_watts_;
};

}  // namespace breakeven::measure
