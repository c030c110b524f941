#include "measure/energy.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "base/files.h"

namespace breakeven::measure {
namespace {

using std::filesystem::path;

std::optional<std::uint64_t> counter_in(const path& file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

}  // namespace

RaplMeter::RaplMeter(const std::string& root, const Clock& clock, double read_every_s)
    : clock_(clock), read_every_s_(read_every_s) {
  // Packages hold cores and graphics; DRAM is counted apart, as a zone below its package. psys
  // holds the packages again, and the mmio twins of the zones count the same joules.
  std::vector<path> folders = entries_of(path(root) / "sys/class/powercap");
  std::erase_if(folders, [](const path& entry) {
    return !entry.filename().string().starts_with("intel-rapl:");
  });
  std::sort(folders.begin(), folders.end());
  why_not_ = "this machine shows no RAPL counter";
  for (const path& folder : folders) {
    std::ifstream name_file(folder / "name");
    std::string name;
    name_file >> name;
    if (!name.starts_with("package") && name != "dram") continue;
    const auto range = counter_in(folder / "max_energy_range_uj");
    const auto now = counter_in(folder / "energy_uj");
    if (!range || !now) {
      // One unreadable part makes the sum meaningless.
      why_not_ =
          fmt::format("{} is not readable (root may read it)", (folder / "energy_uj").string());
      zones_.clear();
      return;
    }
    zones_.push_back({(folder / "energy_uj").string(), *range, *now});
  }
  if (zones_.empty()) return;
  why_not_.clear();
  if (read_every_s_ > 0) return;
  // No package draws as much as this; half of the time in which it would wrap.
  constexpr double kMostWatts = 1000;
  const auto smallest = std::ranges::min_element(zones_, {}, &Zone::range_uj);
  read_every_s_ = static_cast<double>(smallest->range_uj) * 1e-6 / kMostWatts / 2;
}

bool RaplMeter::read_zones(bool add) {
  for (Zone& zone : zones_) {
    const auto now = counter_in(zone.file);
    if (!now) return false;
    const std::uint64_t moved =
        *now >= zone.last_uj ? *now - zone.last_uj : *now + zone.range_uj - zone.last_uj;
    if (add) joules_ += static_cast<double>(moved) * 1e-6;
    zone.last_uj = *now;
  }
  return true;
}

std::optional<double> RaplMeter::measure_idle_watts(double seconds) {
  BREAKEVEN_CHECK(!running_);
  if (!available() || seconds < kMinEnergyWindowSeconds) return std::nullopt;
  const double kept = joules_;
  bool good = read_zones(false);
  const double start = clock_.now_s();
  joules_ = 0;
  clock_.sleep_until(start + seconds);
  good = read_zones(true) && good;
  const double watts = joules_ / (clock_.now_s() - start);
  joules_ = kept;
  if (!good) return std::nullopt;
  idle_watts_ = watts;
  return watts;
}

void RaplMeter::start() {
  if (available()) lost_ = !read_zones(false) || lost_;
  started_s_ = clock_.now_s();
  running_ = true;
  if (available()) reader_.start(read_every_s_, [this] { update(); });
}

void RaplMeter::update() {
  const std::lock_guard lock(mutex_);
  if (running_ && available()) lost_ = !read_zones(true) || lost_;
}

double RaplMeter::joules() const {
  const std::lock_guard lock(mutex_);
  return joules_;
}

void RaplMeter::stop() {
  if (!running_) return;
  reader_.stop();
  update();
  window_s_ += clock_.now_s() - started_s_;
  running_ = false;
}

record::Energy RaplMeter::energy(std::uint64_t texts) const {
  record::Energy energy;
  energy.window_s = window_s_;
  energy.texts = texts;
  if (!available()) {
    energy.method = "not available: " + why_not_;
  } else if (lost_) {
    energy.method = "not available: the counter could not be read to the end";
  } else if (window_s_ < kMinEnergyWindowSeconds) {
    energy.method = fmt::format("not available: {:.3g} s are too short a window", window_s_);
  } else {
    energy.method = "RAPL";
    energy.host_joules_gross = joules_;
    if (idle_watts_) energy.host_joules_net = std::max(0.0, joules_ - *idle_watts_ * window_s_);
  }
  return energy;
}

EnergyMeter::EnergyMeter(const EnergySources& sources, const Clock& clock)
    : host_(sources.root, clock) {
  if (!sources.gpu_uuids.empty()) gpus_.emplace(sources.gpu_uuids, sources.nvml_library, clock);
}

IdleWatts EnergyMeter::measure_idle() {
  constexpr double kHost_s = 2;
  constexpr double kGpu_s = 6;
  IdleWatts idle;
  idle.host = host_.measure_idle_watts(kHost_s);
  if (gpus_) idle.gpu = gpus_->measure_idle_watts(kGpu_s);
  return idle;
}

void EnergyMeter::set_idle(const IdleWatts& idle) {
  if (idle.host) host_.set_idle_watts(*idle.host);
  if (gpus_ && idle.gpu) gpus_->set_idle_watts(*idle.gpu);
}

double EnergyMeter::least_window_s() const {
  const double host_s = host_.available() ? kMinEnergyWindowSeconds : 0;
  return gpus_ && gpus_->available() ? std::max(host_s, kMinGpuEnergyWindowSeconds) : host_s;
}

void EnergyMeter::start() {
  host_.start();
  if (gpus_) gpus_->start();
}

void EnergyMeter::stop() {
  if (gpus_) gpus_->stop();
  host_.stop();
}

record::Energy EnergyMeter::energy(std::uint64_t texts) const {
  record::Energy energy = host_.energy(texts);
  if (!gpus_) return energy;
  if (!energy.host_joules_gross) energy.method = "host " + energy.method;
  gpus_->add_to(energy);
  return energy;
}

}  // namespace breakeven::measure
