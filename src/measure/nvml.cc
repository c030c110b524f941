#include "measure/nvml.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace breakeven::measure {
namespace {

// The few functions that are needed, with the numbers of NVML's stable ABI.
using NvmlReturn = int;
using NvmlHandle = void*;
constexpr NvmlReturn kSuccess = 0;
constexpr NvmlReturn kNotSupported = 3;
constexpr NvmlReturn kInsufficientSize = 7;
constexpr unsigned kSmClock = 1, kMemoryClock = 2;
constexpr unsigned kGpuSensor = 0;
constexpr std::size_t kTextBytes = 96;

struct NvmlUtilization {
  unsigned gpu, memory;  // percent
};
struct NvmlMemory {
  unsigned long long total, free, used;
};
struct NvmlProcess {  // since version 2 of the call
  unsigned pid;
  unsigned long long used_bytes;  // all ones = not told
  unsigned gpu_instance, compute_instance;
};
constexpr auto kNotTold = ~0ULL;

struct ThrottleReason {
  unsigned long long bit;
  std::string_view name;
  bool slows;
};
// An idle GPU and a clock that somebody has set are no throttling.
constexpr ThrottleReason kThrottleReasons[] = {
    {0x004, "power cap", false},       {0x008, "hardware slowdown", true},
    {0x020, "thermal slowdown", true}, {0x040, "hardware thermal slowdown", true},
    {0x080, "power brake", true},
};

}  // namespace

struct NvmlGpu::Library {
  explicit Library(const std::string& file)
      : handle(::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle == nullptr) return;
    load(init, "nvmlInit_v2");
    load(shutdown, "nvmlShutdown");
    load(by_uuid, "nvmlDeviceGetHandleByUUID");
    load(error_string, "nvmlErrorString");
    load(energy, "nvmlDeviceGetTotalEnergyConsumption");
    load(device_name, "nvmlDeviceGetName");
    load(driver_version, "nvmlSystemGetDriverVersion");
    load(cuda_version, "nvmlSystemGetCudaDriverVersion_v2");
    load(clock, "nvmlDeviceGetClockInfo");
    load(clock_limit, "nvmlDeviceGetMaxClockInfo");
    load(temperature, "nvmlDeviceGetTemperature");
    load(power, "nvmlDeviceGetPowerUsage");
    load(power_limit, "nvmlDeviceGetEnforcedPowerLimit");
    load(utilization, "nvmlDeviceGetUtilizationRates");
    load(memory_info, "nvmlDeviceGetMemoryInfo");
    load(processes, "nvmlDeviceGetComputeRunningProcesses_v3");
    if (processes == nullptr) load(processes, "nvmlDeviceGetComputeRunningProcesses_v2");
    // Newer drivers call it by another name.
    load(throttling, "nvmlDeviceGetCurrentClocksEventReasons");
    if (throttling == nullptr) load(throttling, "nvmlDeviceGetCurrentClocksThrottleReasons");
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  // The library stays loaded, as the driver does: unloading it is not safe.
  ~Library() {
    if (initialised) shutdown();
  }

  std::string describe(NvmlReturn error) const {
    const char* text = error_string == nullptr ? nullptr : error_string(error);
    return text == nullptr ? fmt::format("error {}", error)
                           : fmt::format("error {}: {}", error, text);
  }

  // Why this GPU cannot be asked; empty = it can.
  std::string open(const std::string& uuid, const std::string& file) {
    if (uuid.empty()) return "the GPU's UUID is not known";
    if (handle == nullptr) return file + " cannot be loaded";
    if (init == nullptr || shutdown == nullptr || by_uuid == nullptr) return file + " is too old";
    if (const NvmlReturn error = init(); error != kSuccess) {
      return "NVML does not start, " + describe(error);
    }
    initialised = true;
    if (const NvmlReturn error = by_uuid(uuid.c_str(), &device); error != kSuccess) {
      return fmt::format("NVML does not know {}, {}", uuid, describe(error));
    }
    return "";
  }

  // A number that a function gives through its last argument; nothing when it is not there or
  // fails.
  template <class Number, class Function, class... Arguments>
  static std::optional<Number> ask(Function* function, Arguments... arguments) {
    Number number{};
    if (function == nullptr || function(arguments..., &number) != kSuccess) return std::nullopt;
    return number;
  }

  std::optional<std::vector<NvmlProcess>> running() const {
    if (processes == nullptr) return std::nullopt;
    std::vector<NvmlProcess> list(16);
    for (int tries = 0; tries < 3; ++tries) {
      auto count = static_cast<unsigned>(list.size());
      const NvmlReturn error = processes(device, &count, list.data());
      list.resize(count);
      if (error == kSuccess) return list;
      if (error != kInsufficientSize) return std::nullopt;
      list.resize(count + 16);  // more may have come meanwhile
    }
    return std::nullopt;
  }

  void* handle;
  NvmlHandle device = nullptr;
  bool initialised = false;
  NvmlReturn (*init)() = nullptr;
  NvmlReturn (*shutdown)() = nullptr;
  NvmlReturn (*by_uuid)(const char* uuid, NvmlHandle* device) = nullptr;
  const char* (*error_string)(NvmlReturn error) = nullptr;
  NvmlReturn (*energy)(NvmlHandle device, unsigned long long* millijoules) = nullptr;
  NvmlReturn (*device_name)(NvmlHandle device, char* text, unsigned bytes) = nullptr;
  NvmlReturn (*driver_version)(char* text, unsigned bytes) = nullptr;
  NvmlReturn (*cuda_version)(int* version) = nullptr;
  NvmlReturn (*clock)(NvmlHandle device, unsigned type, unsigned* mhz) = nullptr;
  NvmlReturn (*clock_limit)(NvmlHandle device, unsigned type, unsigned* mhz) = nullptr;
  NvmlReturn (*temperature)(NvmlHandle device, unsigned sensor, unsigned* celsius) = nullptr;
  NvmlReturn (*power)(NvmlHandle device, unsigned* milliwatts) = nullptr;
  NvmlReturn (*power_limit)(NvmlHandle device, unsigned* milliwatts) = nullptr;
  NvmlReturn (*utilization)(NvmlHandle device, NvmlUtilization* rates) = nullptr;
  NvmlReturn (*memory_info)(NvmlHandle device, NvmlMemory* memory) = nullptr;
  NvmlReturn (*processes)(NvmlHandle device, unsigned* count, NvmlProcess* list) = nullptr;
  NvmlReturn (*throttling)(NvmlHandle device, unsigned long long* reasons) = nullptr;

 private:
  template <class Function>
  void load(Function*& function, const char* symbol) {
    function = reinterpret_cast<Function*>(::dlsym(handle, symbol));
  }
};

NvmlGpu::NvmlGpu(const std::string& uuid, const std::string& library)
    : library_(std::make_unique<Library>(library)), why_not_(library_->open(uuid, library)) {}

NvmlGpu::~NvmlGpu() = default;
NvmlGpu::NvmlGpu(NvmlGpu&&) noexcept = default;

Result<double> NvmlGpu::joules() const {
  if (!available()) return fail("energy/counter", why_not_);
  if (library_->energy == nullptr) return fail("energy/counter", "this NVML is too old");
  unsigned long long millijoules = 0;
  const NvmlReturn error = library_->energy(library_->device, &millijoules);
  if (error == kNotSupported) return fail("energy/counter", "this GPU has no energy counter");
  if (error != kSuccess) {
    return fail("energy/counter",
                "the energy counter cannot be read, " + library_->describe(error));
  }
  return static_cast<double>(millijoules) * 1e-3;
}

std::optional<std::string> NvmlGpu::name() const {
  std::array<char, kTextBytes> text{};
  if (!available() || library_->device_name == nullptr) return std::nullopt;
  if (library_->device_name(library_->device, text.data(), kTextBytes) != kSuccess) {
    return std::nullopt;
  }
  return text.data();
}

std::optional<std::string> NvmlGpu::driver() const {
  std::array<char, kTextBytes> text{};
  if (!available() || library_->driver_version == nullptr) return std::nullopt;
  if (library_->driver_version(text.data(), kTextBytes) != kSuccess) return std::nullopt;
  return text.data();
}

std::optional<std::string> NvmlGpu::cuda() const {
  if (!available()) return std::nullopt;
  const auto version = Library::ask<int>(library_->cuda_version);
  if (!version) return std::nullopt;
  return fmt::format("{}.{}", *version / 1000, *version % 1000 / 10);
}

NvmlGpu::Look NvmlGpu::look() const {
  Look look;
  if (!available()) return look;
  const Library& nvml = *library_;
  look.sm_mhz = Library::ask<unsigned>(nvml.clock, nvml.device, kSmClock);
  look.memory_mhz = Library::ask<unsigned>(nvml.clock, nvml.device, kMemoryClock);
  look.temperature_c = Library::ask<unsigned>(nvml.temperature, nvml.device, kGpuSensor);
  if (const auto watts = Library::ask<unsigned>(nvml.power, nvml.device)) {
    look.power_w = *watts * 1e-3;
  }
  if (const auto rates = Library::ask<NvmlUtilization>(nvml.utilization, nvml.device)) {
    look.utilisation = rates->gpu * 1e-2;
  }
  const auto reasons = Library::ask<unsigned long long>(nvml.throttling, nvml.device).value_or(0);
  for (const ThrottleReason& reason : kThrottleReasons) {
    if ((reasons & reason.bit) != 0) look.throttle_reasons.emplace_back(reason.name);
  }
  return look;
}

std::optional<double> NvmlGpu::power_limit_w() const {
  if (!available()) return std::nullopt;
  const auto watts = Library::ask<unsigned>(library_->power_limit, library_->device);
  if (!watts) return std::nullopt;
  return *watts * 1e-3;
}

std::optional<double> NvmlGpu::sm_mhz_limit() const {
  if (!available()) return std::nullopt;
  return Library::ask<unsigned>(library_->clock_limit, library_->device, kSmClock);
}

std::optional<NvmlGpu::MemoryUse> NvmlGpu::memory(std::span<const int> processes) const {
  if (!available()) return std::nullopt;
  const auto info = Library::ask<NvmlMemory>(library_->memory_info, library_->device);
  if (!info) return std::nullopt;
  MemoryUse use{info->total, info->used, std::nullopt};
  const auto running = library_->running();
  if (!running) return use;
  for (const NvmlProcess& process : *running) {
    const bool asked_for =
        std::ranges::find(processes, static_cast<int>(process.pid)) != processes.end();
    if (asked_for && process.used_bytes != kNotTold) {
      use.by_those = use.by_those.value_or(0) + process.used_bytes;
    }
  }
  return use;
}

std::optional<std::uint64_t> NvmlGpu::foreign_processes(std::span<const int> ours) const {
  if (!available()) return std::nullopt;
  const auto running = library_->running();
  if (!running) return std::nullopt;
  const auto known = std::ranges::count_if(*running, [&](const NvmlProcess& process) {
    return std::ranges::find(ours, static_cast<int>(process.pid)) != ours.end();
  });
  const std::size_t own = std::max<std::size_t>(static_cast<std::size_t>(known), 1);
  return running->size() > own ? running->size() - own : 0;
}

bool slows_down(const std::string& throttle_reason) {
  return std::ranges::any_of(kThrottleReasons, [&](const ThrottleReason& reason) {
    return reason.slows && reason.name == throttle_reason;
  });
}

}  // namespace breakeven::measure
