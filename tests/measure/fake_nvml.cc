// A stand-in for NVML: one GPU, FAKE_NVML_UUID, whose counter the test sets (millijoules).
// FAKE_NVML_INIT and FAKE_NVML_ENERGY make the calls fail with that number.
#include <cstdlib>
#include <cstring>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

unsigned long long counter = 0;
int open_handles = 0;
int the_gpu = 0;

int number_from(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? 0 : std::atoi(value);
}

}  // namespace

EXPORT void fake_nvml_set(unsigned long long millijoules) {
  counter = millijoules;
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
