// A stand-in for NVML: one GPU, FAKE_NVML_UUID, whose counter the test sets (millijoules), and
// whose clocks and so on are in a FakeGpu that the test fills. FAKE_NVML_INIT, FAKE_NVML_ENERGY and
// FAKE_NVML_READ make the calls fail with that number.
#include "fake_nvml.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

unsigned long long counter = 0;
int open_handles = 0;
int the_gpu = 0;
FakeGpu gpu;

int number_from(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? 0 : std::atoi(value);
}

// What a call for `device` answers before it reads anything.
int refusal(const void* device) {
  return device != &the_gpu ? 2 : number_from("FAKE_NVML_READ");  // 2: invalid argument
}

int give(const void* device, unsigned value, unsigned* to) {
  if (const int error = refusal(device); error != 0) return error;
  *to = value;
  return 0;
}

}  // namespace

EXPORT void fake_nvml_set(unsigned long long millijoules) {
  counter = millijoules;
}
EXPORT void fake_nvml_describe(const FakeGpu* described) {
  gpu = *described;
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
  const char* known = std::getenv("FAKE_NVML_UUID");
  if (known == nullptr || std::strcmp(known, uuid) != 0) return 6;  // not found
  *device = &the_gpu;
  return 0;
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (device != &the_gpu) return 2;  // invalid argument
  if (const int error = number_from("FAKE_NVML_ENERGY"); error != 0) return error;
  *millijoules = counter;
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
  return give(device, type == 1 ? gpu.sm_mhz : type == 2 ? gpu.memory_mhz : 0, mhz);
}
EXPORT int nvmlDeviceGetTemperature(void* device, unsigned sensor, unsigned* celsius) {
  return sensor == 0 ? give(device, gpu.celsius, celsius) : 2;
}
EXPORT int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  return give(device, gpu.milliwatts, milliwatts);
}
EXPORT int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned* milliwatts) {
  return give(device, gpu.limit_milliwatts, milliwatts);
}
EXPORT int nvmlDeviceGetUtilizationRates(void* device, unsigned* rates) {
  rates[1] = 7;  // of the memory
  return give(device, gpu.utilisation_percent, rates);
}
EXPORT int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* total_free_used) {
  total_free_used[0] = gpu.total_bytes;
  total_free_used[1] = gpu.total_bytes - gpu.used_bytes;
  total_free_used[2] = gpu.used_bytes;
  return refusal(device);
}
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  *reasons = gpu.throttle_reasons;
  return refusal(device);
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
  const unsigned room = *count;
  *count = gpu.processes;
  if (room < gpu.processes) return 7;  // insufficient size
  for (unsigned i = 0; i < gpu.processes; ++i) {
    list[i] = {gpu.first_pid + i, gpu.process_bytes, ~0U, ~0U};
  }
  return 0;
}
