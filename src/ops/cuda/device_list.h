// Which GPUs this process may use, and what a --device flag means on this machine.
//
// The list comes from the NVIDIA driver, loaded at run time (libcuda.so.1), so that the same binary
// starts on machines without one and the driver's own rules for CUDA_VISIBLE_DEVICES apply: an
// empty value hides every GPU, the first invalid entry ends the list, indices count what is
// visible. Not the engine, and not NVML: no CUDA header is needed to build this.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "setup/setup.h"

namespace breakeven::ops {

// Why there is no CUDA engine here; nothing where there is one. A build with nvcc has it inside,
// Python's package opens that of breakeven-cuda12 or -cuda13 (plugin.h) at the first call.
// Errors: device/no-engine, device/plugin.
std::optional<Error> why_no_cuda_engine();
inline bool cuda_engine_built() {
  return !why_no_cuda_engine();
}

struct Gpu {
  int index = 0;                 // as in "cuda:1": counts the visible GPUs from 0
  std::string name;              // "NVIDIA H100 80GB HBM3"
  std::string uuid;              // "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"; "" if not told
  std::size_t memory_bytes = 0;  // of the device, used or not
  int major = 0;                 // compute capability, 9.0 for an H100
  int minor = 0;
};

struct GpuList {
  std::vector<Gpu> gpus;
  std::string note;        // why the list is empty, in plain words; "" when it is not
  int driver_version = 0;  // newest CUDA that the driver supports, 12040 = 12.4; 0 without a driver
};

// Asks the driver; never fails, because a machine without a GPU is no error. The driver reads
// CUDA_VISIBLE_DEVICES once a process, at the first call. `library` is another file in tests only.
GpuList list_gpus(const char* library = "libcuda.so.1");

struct DeviceSelection {
  std::vector<Device> devices;  // at least one, none twice
  std::string note;             // what "auto" and "all" had to leave out, and why; may be ""
};

// What --device asks for: "auto" (the first GPU if one can be used, else the CPU), "all" (the CPU
// and each GPU), or a list of "cpu", "cuda:i", "cuda" (= cuda:0), "cuda:0+cuda:1" (as one device)
// and "cuda:all" (all GPUs as one). Without a GPU "auto" and "all" give the CPU and a note. Errors:
// device/unknown, device/twice, device/no-gpu, device/no-such-gpu, those of why_no_engine, which is
// asked only where there is a GPU.
using WhyNoEngine = std::optional<Error> (*)();
Result<DeviceSelection> select_devices(std::string_view spec, const GpuList& list,
                                       WhyNoEngine why_no_engine = why_no_cuda_engine);

}  // namespace breakeven::ops
