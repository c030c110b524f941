// What NVML tells of one GPU. The library is loaded at run time; the GPU is told apart by its UUID,
// because NVML counts GPUs that CUDA_VISIBLE_DEVICES hides. A machine without it, or a GPU that
// cannot tell something, is no error: that value is then absent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace breakeven::measure {

inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

class NvmlGpu {
 public:
  // `uuid` as the driver names the GPU ("GPU-..."; "" = not known). `library` is another file in
  // tests only.
  explicit NvmlGpu(const std::string& uuid, const std::string& library = kNvmlLibrary);
  ~NvmlGpu();
  NvmlGpu(NvmlGpu&&) noexcept;
  NvmlGpu& operator=(NvmlGpu&&) = delete;

  bool available() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }

  // The energy counter in joules. Errors: energy/counter, with the reason.
  Result<double> joules() const;

  std::optional<std::string> name() const;
  std::optional<std::string> driver() const;  // "580.65.06"
  std::optional<std::string> cuda() const;    // newest CUDA of that driver: "13.0"

  // What can change from one moment to the next.
  struct Look {
    std::optional<double> sm_mhz, memory_mhz, temperature_c, power_w;
    std::optional<double> utilisation;  // share of the last interval with a kernel running
    std::vector<std::string> throttle_reasons;
  };
  Look look() const;
  std::optional<double> power_limit_w() const;  // the enforced one
  std::optional<double> sm_mhz_limit() const;   // the highest clock that it has

  struct MemoryUse {
    std::uint64_t total_bytes = 0;
    std::uint64_t used_bytes = 0;           // by everybody
    std::optional<std::uint64_t> by_those;  // by the processes asked for, where NVML lists them
  };
  std::optional<MemoryUse> memory(std::span<const int> processes) const;

  // Processes that compute on the GPU beside these. In a container NVML lists the host's process
  // numbers; when none of them is ours and there are some, one of them counts as ours.
  std::optional<std::uint64_t> foreign_processes(std::span<const int> ours) const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
  std::string why_not_;
};

// Whether a reason means that the GPU ran slower than it would cooler or better fed. The power cap
// is not among them: under load it is how a GPU always runs.
bool slows_down(const std::string& throttle_reason);

}  // namespace breakeven::measure
