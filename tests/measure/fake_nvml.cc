// A stand-in for NVML: two GPUs, FAKE_NVML_UUID and FAKE_NVML_UUID2, whose counters the test sets
// (millijoules), and whose clocks and so on are in a FakeGpu each that the test fills.
// FAKE_NVML_INIT, FAKE_NVML_ENERGY and FAKE_NVML_READ make the calls fail with that number.
#include "fake_nvml.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

struct Known {
  FakeGpu gpu;
  unsigned long long counter = 0;
};
Known known[2];
int open_handles = 0;

int number_from(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? 0 : std::atoi(value);
}

// What a call for `device` answers before it reads anything.
int refusal(const void* device) {
  const bool ours = device == &known[0] || device == &known[1];
  return ours ? number_from("FAKE_NVML_READ") : 2;  // 2: invalid argument
}
const FakeGpu& gpu_of(const void* device) {
  return static_cast<const Known*>(device)->gpu;
}

int give(const void* device, unsigned FakeGpu::*value, unsigned* to) {
  if (const int error = refusal(device); error != 0) return error;
  *to = gpu_of(device).*value;
  return 0;
}

}  // namespace

EXPORT void fake_nvml_set(unsigned long long millijoules) {
  known[0].counter = millijoules;
}
EXPORT void fake_nvml_set_second(unsigned long long millijoules) {
  known[1].counter = millijoules;
}
EXPORT void fake_nvml_describe(const FakeGpu* described) {
  known[0].gpu = *described;
}
EXPORT void fake_nvml_describe_second(const FakeGpu* described) {
  known[1].gpu = *described;
}
EXPORT int fake_nvml_open_handles() {
  return open_handles;
}

EXPORT int nvmlInit_v2() {
  if (const int error = number_from("FAKE_NVML_INIT"); error != 0) return error;
  ++open_handles;
  return 0;
}
EXPORT int nvmlShutdown() {
  --open_handles;
  return 0;
}
EXPORT int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  const char* const names[] = {std::getenv("FAKE_NVML_UUID"), std::getenv("FAKE_NVML_UUID2")};
  for (int i = 0; i < 2; ++i) {
    if (names[i] == nullptr || std::strcmp(names[i], uuid) != 0) continue;
    *device = &known[i];
    return 0;
  }
  return 6;  // not found
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (device != &known[0] && device != &known[1]) return 2;  // invalid argument
  if (const int error = number_from("FAKE_NVML_ENERGY"); error != 0) return error;
  *millijoules = static_cast<const Known*>(device)->counter;
  return 0;
}
EXPORT const char* nvmlErrorString(int error) {
  return error == 6 ? "Not Found" : "Some Error";
}
EXPORT int nvmlDeviceGetName(void* device, char* text, unsigned bytes) {
  std::snprintf(text, bytes, "A GPU");
  return refusal(device);
}
EXPORT int nvmlSystemGetDriverVersion(char* text, unsigned bytes) {
  std::snprintf(text, bytes, "580.65.06");
  return number_from("FAKE_NVML_READ");
}
EXPORT int nvmlSystemGetCudaDriverVersion_v2(int* version) {
  *version = 13020;
  return number_from("FAKE_NVML_READ");
}
EXPORT int nvmlDeviceGetClockInfo(void* device, unsigned type, unsigned* mhz) {
  return give(device, type == 1 ? &FakeGpu::sm_mhz : &FakeGpu::memory_mhz, mhz);
}
EXPORT int nvmlDeviceGetMaxClockInfo(void* device, unsigned type, unsigned* mhz) {
  return type == 1 ? give(device, &FakeGpu::sm_mhz_limit, mhz) : 2;
}
EXPORT int nvmlDeviceGetTemperature(void* device, unsigned sensor, unsigned* celsius) {
  return sensor == 0 ? give(device, &FakeGpu::celsius, celsius) : 2;
}
EXPORT int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  return give(device, &FakeGpu::milliwatts, milliwatts);
}
EXPORT int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned* milliwatts) {
  return give(device, &FakeGpu::limit_milliwatts, milliwatts);
}
EXPORT int nvmlDeviceGetUtilizationRates(void* device, unsigned* rates) {
  rates[1] = 7;  // of the memory
  return give(device, &FakeGpu::utilisation_percent, rates);
}
EXPORT int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* total_free_used) {
  if (const int error = refusal(device); error != 0) return error;
  const FakeGpu& gpu = gpu_of(device);
  total_free_used[0] = gpu.total_bytes;
  total_free_used[1] = gpu.total_bytes - gpu.used_bytes;
  total_free_used[2] = gpu.used_bytes;
  return 0;
}
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  if (const int error = refusal(device); error != 0) return error;
  *reasons = gpu_of(device).throttle_reasons;
  return 0;
}
// pid, bytes, instances, as NVML lays them out.
struct ListedProcess {
  unsigned pid;
  unsigned long long bytes;
  unsigned gpu_instance, compute_instance;
};
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count,
                                                   ListedProcess* list) {
  if (const int error = refusal(device); error != 0) return error;
  const FakeGpu& gpu = gpu_of(device);
  const unsigned room = *count;
  *count = gpu.processes;
  if (room < gpu.processes) return 7;  // insufficient size
  for (unsigned i = 0; i < gpu.processes; ++i) {
    list[i] = {gpu.first_pid + i, gpu.process_bytes, ~0U, ~0U};
  }
  return 0;
}
