#include "measure/gpu_energy.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace breakeven::measure {
namespace {

// The few functions that are needed, with the numbers of NVML's stable ABI.
using NvmlReturn = int;
using NvmlHandle = void*;
constexpr NvmlReturn kSuccess = 0;
constexpr NvmlReturn kNotSupported = 3;

class Nvml {
 public:
  explicit Nvml(const std::string& library)
      : handle_(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) return;
    load(init, "nvmlInit_v2");
    load(shutdown, "nvmlShutdown");
    load(by_uuid, "nvmlDeviceGetHandleByUUID");
    load(energy, "nvmlDeviceGetTotalEnergyConsumption");
    load(error_string, "nvmlErrorString");
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  // The library stays loaded, as the driver does: unloading it is not safe.
  ~Nvml() {
    if (initialised) shutdown();
  }
  bool loaded() const { return handle_ != nullptr; }
  bool complete() const {
    return init != nullptr && shutdown != nullptr && by_uuid != nullptr && energy != nullptr;
  }
  std::string describe(NvmlReturn error) const {
    const char* text = error_string == nullptr ? nullptr : error_string(error);
    return text == nullptr ? fmt::format("error {}", error)
                           : fmt::format("error {}: {}", error, text);
  }

  NvmlReturn (*init)() = nullptr;
  NvmlReturn (*shutdown)() = nullptr;
  NvmlReturn (*by_uuid)(const char* uuid, NvmlHandle* device) = nullptr;
  NvmlReturn (*energy)(NvmlHandle device, unsigned long long* millijoules) = nullptr;
  const char* (*error_string)(NvmlReturn error) = nullptr;
  bool initialised = false;

 private:
  template <class Function>
  void load(Function*& function, const char* symbol) {
    function = reinterpret_cast<Function*>(::dlsym(handle_, symbol));
  }
  void* handle_;
};

}  // namespace

struct NvmlMeter::Device {
  explicit Device(const std::string& library) : nvml(library) {}

  // Why this GPU has no counter; empty = it has.
  std::string open(const std::string& uuid, const std::string& library) {
    if (uuid.empty()) return "the GPU's UUID is not known";
    if (!nvml.loaded()) return library + " cannot be loaded";
    if (!nvml.complete()) return library + " is too old";
    if (const NvmlReturn error = nvml.init(); error != kSuccess) {
      return "NVML does not start, " + nvml.describe(error);
    }
    nvml.initialised = true;
    if (const NvmlReturn error = nvml.by_uuid(uuid.c_str(), &handle); error != kSuccess) {
      return fmt::format("NVML does not know {}, {}", uuid, nvml.describe(error));
    }
    unsigned long long ignored = 0;
    const NvmlReturn error = nvml.energy(handle, &ignored);
    if (error == kNotSupported) return "this GPU has no energy counter";
    return error == kSuccess ? "" : "the energy counter cannot be read, " + nvml.describe(error);
  }

  Nvml nvml;
  NvmlHandle handle = nullptr;
};

NvmlMeter::NvmlMeter(const std::string& uuid, const std::string& library, const Clock& clock)
    : clock_(clock), device_(std::make_unique<Device>(library)) {
  why_not_ = device_->open(uuid, library);
  if (!why_not_.empty()) device_.reset();
}

NvmlMeter::~NvmlMeter() = default;
NvmlMeter::NvmlMeter(NvmlMeter&&) noexcept = default;

bool NvmlMeter::available() const {
  return device_ != nullptr;
}

std::optional<double> NvmlMeter::read_joules() const {
  unsigned long long millijoules = 0;
  if (device_->nvml.energy(device_->handle, &millijoules) != kSuccess) return std::nullopt;
  return static_cast<double>(millijoules) * 1e-3;
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
