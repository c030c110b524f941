// A stand-in for the NVIDIA driver: FAKE_CUDA_GPUS physical GPUs, and CUDA_VISIBLE_DEVICES as the
// CUDA programming guide describes it: a list of indices or of UUID beginnings, the first entry
// that names no GPU ends the list, an empty value hides all. FAKE_CUDA_INIT_ERROR makes cuInit
// fail; FAKE_CUDA_DRIVER is the newest CUDA that it supports, 13000 = 13.0 (12.4 without it).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr int kNoDevice = 100;
constexpr int kInvalidDevice = 101;

std::vector<int> visible;  // physical index of each visible GPU

struct Uuid {
  unsigned char bytes[16];
};

Uuid uuid_of(int physical) {
  Uuid uuid{};
  for (int i = 0; i < 16; ++i) uuid.bytes[i] = static_cast<unsigned char>(0x10 * physical + i);
  return uuid;
}

std::string uuid_text(int physical) {
  const Uuid uuid = uuid_of(physical);
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", uuid.bytes[i]);
    text += digits;
  }
  return text;
}

int find_gpu(const std::string& entry, int physical_count) {
  if (entry.rfind("GPU-", 0) == 0) {
    for (int i = 0; i < physical_count; ++i) {
      if (uuid_text(i).rfind(entry, 0) == 0) return i;
    }
    return -1;
  }
  char* end = nullptr;
  const long index = std::strtol(entry.c_str(), &end, 10);
  if (end == entry.c_str() || *end != '\0' || index < 0 || index >= physical_count) return -1;
  return static_cast<int>(index);
}

int number_from(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? 0 : std::atoi(value);
}

}  // namespace

EXPORT int cuInit(unsigned) {
  if (const int error = number_from("FAKE_CUDA_INIT_ERROR"); error != 0) return error;
  const int physical_count = number_from("FAKE_CUDA_GPUS");
  visible.clear();
  if (const char* list = std::getenv("CUDA_VISIBLE_DEVICES"); list != nullptr) {
    std::istringstream entries{std::string(list)};
    for (std::string entry; std::getline(entries, entry, ',');) {
      const int physical = find_gpu(entry, physical_count);
      if (physical < 0) break;
      visible.push_back(physical);
    }
  } else {
    for (int i = 0; i < physical_count; ++i) visible.push_back(i);
  }
  return visible.empty() ? kNoDevice : 0;
}

EXPORT int cuDriverGetVersion(int* version) {
  const int given = number_from("FAKE_CUDA_DRIVER");
  *version = given == 0 ? 12040 : given;
  return 0;
}

EXPORT int cuDeviceGetCount(int* count) {
  *count = static_cast<int>(visible.size());
  return 0;
}

EXPORT int cuDeviceGet(int* device, int ordinal) {
  if (ordinal < 0 || ordinal >= static_cast<int>(visible.size())) return kInvalidDevice;
  *device = ordinal;
  return 0;
}

EXPORT int cuDeviceGetName(char* name, int size, int device) {
  if (number_from("FAKE_CUDA_BROKEN_GPU") == device + 1) return 999;
  std::snprintf(name, static_cast<std::size_t>(size), "Fake GPU %d",
                visible.at(static_cast<std::size_t>(device)));
  return 0;
}

EXPORT int cuDeviceTotalMem_v2(std::size_t* bytes, int device) {
  *bytes = (static_cast<std::size_t>(visible.at(static_cast<std::size_t>(device))) + 1) << 33;
  return 0;
}

EXPORT int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 1 : -1;
  return 0;
}

EXPORT int cuDeviceGetUuid_v2(Uuid* uuid, int device) {
  *uuid = uuid_of(visible.at(static_cast<std::size_t>(device)));
  return 0;
}

EXPORT int cuGetErrorString(int error, const char** text) {
  *text = error == 803 ? "system has unsupported display driver / cuda driver combination"
                       : "unknown error";
  return 0;
}
