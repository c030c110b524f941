#include "setup/setup.h"

#include <algorithm>
#include <charconv>

namespace breakeven {
namespace {

constexpr std::string_view kCpu = "cpu";
constexpr std::string_view kCuda = "cuda:";
constexpr std::string_view kNative = "native";

}  // namespace

std::string to_string(const Device& device) {
  if (device.is_cpu()) return std::string(kCpu);
  std::string text;
  for (const int gpu : device.gpus) {
    text += (text.empty() ? "" : "+") + std::string(kCuda) + std::to_string(gpu);
  }
  return text;
}

Result<Device> parse_device(std::string_view text) {
  Device device;
  if (text == kCpu) return device;
  const auto refuse = [&] {
    return fail("device/unknown", "'" + std::string(text) + "' is not a device",
                "a device is cpu, cuda:0 or, as one, cuda:0+cuda:1");
  };
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    int gpu = 0;
    if (!part.starts_with(kCuda) || part.size() == kCuda.size()) return refuse();
    const char* last = part.data() + part.size();
    const auto [stop, error] = std::from_chars(part.data() + kCuda.size(), last, gpu);
    if (error != std::errc{} || stop != last || gpu < 0) return refuse();
    if (std::find(device.gpus.begin(), device.gpus.end(), gpu) != device.gpus.end()) {
      return refuse();
    }
    device.gpus.push_back(gpu);
  }
  return device;
}

bool Runtime::is_native() const {
  return name == kNative;
}

std::string to_string(const Runtime& runtime) {
  return runtime.variant.empty() ? runtime.name : runtime.name + ":" + runtime.variant;
}

}  // namespace breakeven
