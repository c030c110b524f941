#include "measure/gpu_energy.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace breakeven::measure {

NvmlMeter::NvmlMeter(const std::vector<std::string>& uuids, const std::string& library,
                     const Clock& clock)
    : clock_(clock) {
  BREAKEVEN_CHECK(!uuids.empty());
  for (const std::string& uuid : uuids) {
    const auto joules = gpus_.emplace_back(uuid, library).joules();
    if (!joules && why_not_.empty()) why_not_ = joules.error().message;
  }
}

std::optional<std::vector<double>> NvmlMeter::read_joules() const {
  std::vector<double> all;
  for (const NvmlGpu& gpu : gpus_) {
    const auto joules = gpu.joules();
    if (!joules) return std::nullopt;
    all.push_back(*joules);
  }
  return all;
}

namespace {

// Nothing when a counter has fallen: it starts from zero when the driver is loaded anew, and what
// was counted before is lost.
std::optional<double> moved(const std::optional<std::vector<double>>& before,
                            const std::optional<std::vector<double>>& after) {
  if (!before || !after || before->size() != after->size()) return std::nullopt;
  double joules = 0;
  for (std::size_t i = 0; i < after->size(); ++i) {
    if ((*after)[i] < (*before)[i]) return std::nullopt;
    joules += (*after)[i] - (*before)[i];
  }
  return joules;
}

}  // namespace

std::optional<double> NvmlMeter::measure_idle_watts(double seconds) {
  BREAKEVEN_CHECK(!running_);
  if (!available() || seconds < kMinGpuEnergyWindowSeconds) return std::nullopt;
  const auto before = read_joules();
  const double start_s = clock_.now_s();
  clock_.sleep_until(start_s + seconds);
  const auto joules = moved(before, read_joules());
  if (!joules) return std::nullopt;
  idle_watts_ = *joules / (clock_.now_s() - start_s);
  return idle_watts_;
}

void NvmlMeter::start() {
  if (!available()) return;
  const auto now = read_joules();
  lost_ = !now || lost_;
  started_joules_ = now.value_or(std::vector<double>{});
  started_s_ = clock_.now_s();
  running_ = true;
}

void NvmlMeter::stop() {
  if (!running_) return;
  running_ = false;
  const auto joules = moved(started_joules_, read_joules());
  window_s_ += clock_.now_s() - started_s_;
  lost_ = !joules || lost_;
  joules_ += joules.value_or(0);
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
