#include "ops/cuda/device_list.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>

namespace breakeven::ops {
namespace {

// The few driver functions that are needed, with the numbers of the driver's stable ABI.
using CuResult = int;
using CuDevice = int;
struct CuUuid {
  std::array<unsigned char, 16> bytes;
};
constexpr CuResult kSuccess = 0;
constexpr CuResult kStubLibrary = 34;
constexpr CuResult kNoDevice = 100;
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;

// The driver as loaded. It stays loaded: it starts threads, and unloading it is not safe.
class Driver {
 public:
  explicit Driver(const char* library) : handle_(::dlopen(library, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) return;
    load(init, "cuInit");
    load(driver_version, "cuDriverGetVersion");
    load(count, "cuDeviceGetCount");
    load(get, "cuDeviceGet");
    load(name, "cuDeviceGetName");
    load(total_memory, "cuDeviceTotalMem_v2");
    load(attribute, "cuDeviceGetAttribute");
    load(uuid, "cuDeviceGetUuid_v2");
    if (uuid == nullptr) load(uuid, "cuDeviceGetUuid");  // before CUDA 11.4
    load(error_string, "cuGetErrorString");
  }
  bool loaded() const { return handle_ != nullptr; }
  bool complete() const {
    return init != nullptr && driver_version != nullptr && count != nullptr && get != nullptr &&
           name != nullptr && total_memory != nullptr && attribute != nullptr;
  }

  CuResult (*init)(unsigned flags) = nullptr;
  CuResult (*driver_version)(int* version) = nullptr;
  CuResult (*count)(int* devices) = nullptr;
  CuResult (*get)(CuDevice* device, int ordinal) = nullptr;
  CuResult (*name)(char* name, int size, CuDevice device) = nullptr;
  CuResult (*total_memory)(std::size_t* bytes, CuDevice device) = nullptr;
  CuResult (*attribute)(int* value, int attribute, CuDevice device) = nullptr;
  CuResult (*uuid)(CuUuid* uuid, CuDevice device) = nullptr;
  CuResult (*error_string)(CuResult error, const char** text) = nullptr;

  std::string describe(CuResult error) const {
    const char* text = nullptr;
    if (error_string == nullptr || error_string(error, &text) != kSuccess || text == nullptr) {
      return fmt::format("error {}", error);
    }
    return fmt::format("error {}: {}", error, text);
  }

 private:
  template <class Function>
  void load(Function*& function, const char* symbol) {
    function = reinterpret_cast<Function*>(::dlsym(handle_, symbol));
  }
  void* handle_;
};

std::string format_uuid(const CuUuid& uuid) {
  std::string text = "GPU-";
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid.bytes.at(i));
  }
  return text;
}

std::string why_none() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return "the NVIDIA driver is here but sees no GPU";
  if (*visible == '\0') return "CUDA_VISIBLE_DEVICES is empty: every GPU is hidden";
  return fmt::format("CUDA_VISIBLE_DEVICES={} leaves no GPU visible", visible);
}

std::string why_failed(const Driver& driver, CuResult error) {
  if (error == kNoDevice) return why_none();
  if (error == kStubLibrary) {
    return "libcuda.so.1 is the CUDA toolkit's stub, not a driver: no NVIDIA driver here";
  }
  return fmt::format("the NVIDIA driver does not start ({})", driver.describe(error));
}

// Everything about one GPU, or the first error.
CuResult read_gpu(const Driver& driver, int index, Gpu& gpu) {
  gpu.index = index;
  CuDevice device = 0;
  if (const CuResult r = driver.get(&device, index); r != kSuccess) return r;
  std::array<char, 256> name{};
  if (const CuResult r = driver.name(name.data(), static_cast<int>(name.size()) - 1, device);
      r != kSuccess) {
    return r;
  }
  gpu.name = name.data();
  if (const CuResult r = driver.total_memory(&gpu.memory_bytes, device); r != kSuccess) return r;
  if (const CuResult r = driver.attribute(&gpu.major, kCapabilityMajor, device); r != kSuccess) {
    return r;
  }
  if (const CuResult r = driver.attribute(&gpu.minor, kCapabilityMinor, device); r != kSuccess) {
    return r;
  }
  CuUuid uuid{};
  if (driver.uuid != nullptr && driver.uuid(&uuid, device) == kSuccess) {
    gpu.uuid = format_uuid(uuid);
  }
  return kSuccess;
}

// Why no GPU can be used; nothing when one can.
std::optional<Error> why_no_gpu(const GpuList& list, WhyNoEngine why_no_engine) {
  if (list.gpus.empty()) {
    return Error{"device/no-gpu", fmt::format("no GPU was seen: {}", list.note),
                 "use --device cpu, or see what `breakeven info` finds"};
  }
  std::optional<Error> none = why_no_engine();
  if (none) {
    none->message =
        fmt::format("a GPU was seen ({}), but {}", list.gpus.front().name, none->message);
  }
  return none;
}

// "cuda" -> 0, "cuda:1" -> 1 when there is one.
Result<int> resolve(std::string_view name, const GpuList& list, WhyNoEngine why_no_engine) {
  constexpr std::string_view kCuda = "cuda";
  int index = 0;
  bool known = name.substr(0, kCuda.size()) == kCuda;
  if (known && name.size() > kCuda.size()) {
    const char* end = name.data() + name.size();
    const char* digits = name.data() + kCuda.size() + 1;
    const auto [stop, error] = std::from_chars(digits, end, index);
    known = name[kCuda.size()] == ':' && digits < end && *digits != '-' && error == std::errc{} &&
            stop == end;
  }
  if (!known) {
    return fail("device/unknown", fmt::format("'{}' is not a device", name),
                "choose auto, all, or a list of cpu, cuda, cuda:1, cuda:0+cuda:1, cuda:all ...");
  }
  if (std::optional<Error> none = why_no_gpu(list, why_no_engine)) {
    return fail(none->code, fmt::format("--device {}: {}", name, none->message), none->hint);
  }
  if (index >= static_cast<int>(list.gpus.size())) {
    return fail("device/no-such-gpu",
                fmt::format("--device {}: there {} only {} visible GPU{}", name,
                            list.gpus.size() == 1 ? "is" : "are", list.gpus.size(),
                            list.gpus.size() == 1 ? "" : "s"),
                "indices start at 0 and count what CUDA_VISIBLE_DEVICES leaves visible; "
                "`breakeven info` lists them");
  }
  return index;
}

// A device of the list, "cuda:all" and GPUs joined by a plus included.
Result<Device> resolve_joined(std::string_view name, const GpuList& list,
                              WhyNoEngine why_no_engine) {
  const std::string cpu = to_string(Device{});
  Device device;
  if (name == cpu) return device;
  if (name == "cuda:all") {
    BREAKEVEN_TRY_VOID(resolve("cuda", list, why_no_engine));  // or why there is none
    for (const Gpu& gpu : list.gpus) device.gpus.push_back(gpu.index);
    return device;
  }
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t plus = std::min(name.find('+', begin), name.size());
    const std::string_view part = name.substr(begin, plus - begin);
    begin = plus + 1;
    if (part == cpu) {
      return fail("device/unknown", fmt::format("--device {}: only GPUs can be joined", name),
                  "a comma gives each device a cell of its own");
    }
    BREAKEVEN_TRY(const int gpu, resolve(part, list, why_no_engine));
    if (std::find(device.gpus.begin(), device.gpus.end(), gpu) != device.gpus.end()) {
      return fail("device/twice",
                  fmt::format("--device {}: {} is named twice", name, to_string(Device{{gpu}})),
                  "name each device once");
    }
    device.gpus.push_back(gpu);
  }
  return device;
}

}  // namespace

GpuList list_gpus(const char* library) {
  GpuList list;
  const Driver driver(library);
  if (!driver.loaded()) {
    list.note = "no NVIDIA driver here (libcuda.so.1 cannot be loaded)";
    return list;
  }
  if (!driver.complete()) {
    list.note = "the NVIDIA driver is too old: libcuda.so.1 lacks functions of CUDA 10";
    return list;
  }
  if (driver.driver_version(&list.driver_version) != kSuccess) list.driver_version = 0;
  if (const CuResult r = driver.init(0); r != kSuccess) {
    list.note = why_failed(driver, r);
    return list;
  }
  int count = 0;
  if (const CuResult r = driver.count(&count); r != kSuccess) {
    list.note = why_failed(driver, r);
    return list;
  }
  for (int index = 0; index < count; ++index) {
    Gpu gpu;
    if (const CuResult r = read_gpu(driver, index, gpu); r != kSuccess) {
      list.gpus.clear();
      list.note = fmt::format("GPU {} does not answer ({})", index, driver.describe(r));
      return list;
    }
    list.gpus.push_back(std::move(gpu));
  }
  if (list.gpus.empty()) list.note = why_none();
  return list;
}

Result<DeviceSelection> select_devices(std::string_view spec, const GpuList& list,
                                       WhyNoEngine why_no_engine) {
  DeviceSelection selection;
  if (spec == "auto" || spec == "all") {
    const std::optional<Error> none = why_no_gpu(list, why_no_engine);
    if (none) selection.note = none->message + "; the CPU alone is used";
    if (none && none->hint.starts_with("pip ")) selection.note += ": " + none->hint;
    if (none || spec == "all") selection.devices.emplace_back();
    if (none) return selection;
    for (const Gpu& gpu : list.gpus) {
      selection.devices.push_back({{gpu.index}});
      if (spec == "auto") break;
    }
    return selection;
  }
  for (std::size_t begin = 0; begin <= spec.size();) {
    const std::size_t comma = std::min(spec.find(',', begin), spec.size());
    const std::string_view name = spec.substr(begin, comma - begin);
    if ((name == "auto" || name == "all") && name != spec) {
      return fail("device/unknown", fmt::format("--device {}: '{}' stands alone", spec, name),
                  "give auto, all, or a list of cpu, cuda, cuda:0, cuda:1 ...");
    }
    BREAKEVEN_TRY(Device device, resolve_joined(name, list, why_no_engine));
    if (std::find(selection.devices.begin(), selection.devices.end(), device) !=
        selection.devices.end()) {
      return fail("device/twice",
                  fmt::format("--device {}: {} is named twice", spec, to_string(device)),
                  "name each device once");
    }
    selection.devices.push_back(std::move(device));
    begin = comma + 1;
  }
  return selection;
}

}  // namespace breakeven::ops
