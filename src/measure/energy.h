// Joules from a counter, or nothing: RAPL through powercap for the host, NVML for a GPU. Never an
// estimate from a rated power.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "measure/gpu_energy.h"
#include "measure/repeater.h"
#include "record/record.h"

namespace breakeven::measure {

// The counter moves about once a millisecond; a window of a thousand steps is exact to 0.1 %.
inline constexpr double kMinEnergyWindowSeconds = 1.0;

// The packages' counters (and DRAM's where it is a zone of its own). Wraps around at
// max_energy_range_uj, after 328 s for 65.5 kJ at 200 W: a thread reads it more often than that
// between start() and stop().
class RaplMeter {
 public:
  // `read_every_s` is another time in tests only; 0 = often enough for the smallest range.
  explicit RaplMeter(const std::string& root = "/", const Clock& clock = monotonic_clock(),
                     double read_every_s = 0);

  bool available() const { return !zones_.empty(); }
  const std::string& why_not() const { return why_not_; }  // "not readable: ...", "no RAPL zone"

  // Idle power: joules over `seconds` of sleeping. Nothing when not available or too short.
  std::optional<double> measure_idle_watts(double seconds);
  void set_idle_watts(double watts) { idle_watts_ = watts; }

  void start();
  void update();
  void stop();            // several start/stop blocks add up
  double joules() const;  // gross, as far as they were read
  double read_every_s() const { return read_every_s_; }

  // gross only above kMinEnergyWindowSeconds; net only when the idle power is known too.
  record::Energy energy(std::uint64_t texts) const;

 private:
  struct Zone {
    std::string file;
    std::uint64_t range_uj = 0;
    std::uint64_t last_uj = 0;
  };
  bool read_zones(bool add);

  const Clock& clock_;
  double read_every_s_;
  std::vector<Zone> zones_;
  std::string why_not_;
  double joules_ = 0, window_s_ = 0, started_s_ = 0;
  bool running_ = false, lost_ = false;
  std::optional<double> idle_watts_;
  mutable std::mutex mutex_;  // zones_, joules_ and lost_ while the reader runs
  Repeater reader_;
};

// Watts of a machine that does nothing, before anything was measured.
struct IdleWatts {
  std::optional<double> host, gpu;
};

// Where the counters of one device's rows are.
struct EnergySources {
  std::string root = "/";
  std::vector<std::string> gpu_uuids{};  // none for a CPU row, which uses none
  std::string nvml_library = kNvmlLibrary;
};

// Host and GPUs of one row together. A side without a counter is named in the method.
class EnergyMeter {
 public:
  explicit EnergyMeter(const EnergySources& sources, const Clock& clock = monotonic_clock());

  // Sleeps for each counter that there is, as long as it needs: seconds at most, nothing without
  // one.
  IdleWatts measure_idle();
  void set_idle(const IdleWatts& idle);
  // The shortest window that its counters resolve; 0 without a counter.
  double least_window_s() const;
  void start();
  void stop();
  record::Energy energy(std::uint64_t texts) const;

 private:
  RaplMeter host_;
  std::optional<NvmlMeter> gpus_;
};

}  // namespace breakeven::measure
