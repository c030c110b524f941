#include "measure/gpu_energy.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace breakeven::measure {

NvmlMeter::NvmlMeter(const std::string& uuid, const std::string& library, const Clock& clock)
    : clock_(clock), gpu_(uuid, library) {
  if (const auto joules = gpu_.joules(); !joules) why_not_ = joules.error().message;
}

std::optional<double> NvmlMeter::read_joules() const {
  const auto joules = gpu_.joules();
  return joules ? std::optional(*joules) : std::nullopt;
}

std::optional<double> NvmlMeter::measure_idle_watts(double seconds) {
  BREAKEVEN_CHECK(!running_);
  if (!available() || seconds < kMinGpuEnergyWindowSeconds) return std::nullopt;
  const auto before = read_joules();
  const double start_s = clock_.now_s();
  clock_.sleep_until(start_s + seconds);
  const auto after = read_joules();
  if (!before || !after || *after < *before) return std::nullopt;
  idle_watts_ = (*after - *before) / (clock_.now_s() - start_s);
  return idle_watts_;
}

void NvmlMeter::start() {
  if (!available()) return;
  const auto now = read_joules();
  lost_ = !now || lost_;
  started_joules_ = now.value_or(0);
  started_s_ = clock_.now_s();
  running_ = true;
}

void NvmlMeter::stop() {
  if (!running_) return;
  running_ = false;
  const auto now = read_joules();
  window_s_ += clock_.now_s() - started_s_;
  // It starts from zero when the driver is loaded anew: what was counted before is lost.
  if (!now || *now < started_joules_) {
    lost_ = true;
    return;
  }
  joules_ += *now - started_joules_;
}

void NvmlMeter::add_to(record::Energy& energy) const {
  std::string method = "NVML";
  if (!available()) {
    method = "GPU not available: " + why_not_;
  } else if (lost_) {
    method = "GPU not available: the counter could not be read to the end";
  } else if (window_s_ < kMinGpuEnergyWindowSeconds) {
    method = fmt::format("GPU not available: {:.3g} s are too short a window", window_s_);
  } else {
    energy.gpu_joules_gross = joules_;
    if (idle_watts_) energy.gpu_joules_net = std::max(0.0, joules_ - *idle_watts_ * window_s_);
  }
  energy.method += energy.method.empty() ? method : "; " + method;
}

}  // namespace breakeven::measure
