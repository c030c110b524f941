#include "ops/cuda/cuda_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "ops/cuda/blocks.h"
#include "ops/cuda/self_test.h"

namespace breakeven::ops {
namespace {

// One device of this process, and what its kernels were found to do.
struct Device {
  std::shared_ptr<cuda::Runtime> runtime;
  std::map<Precision, cuda::SelfTest> tested;
  std::shared_ptr<cuda::GemmTuner> tuner;
};

std::mutex devices_mutex;

std::map<int, Device>& devices() {
  // Never destroyed: CUDA may be gone by then.
  static auto& made = *new std::map<int, Device>;
  return made;
}

Result<std::unique_ptr<Backend>> make(const CudaOptions& options) {
  cuda::BlocksOptions blocks;
  BREAKEVEN_TRY(blocks.switches, cuda::switches_by_environment());
  const std::lock_guard lock(devices_mutex);
  Device& device = devices()[options.device];
  if (device.runtime == nullptr) {
    BREAKEVEN_TRY(device.runtime, cuda::make_cuda_runtime(options.device));
  }
  if (device.tuner == nullptr) {
    std::string note;
    const cuda::TunerOptions tuner = cuda::tuner_options(note);
    device.tuner = std::make_shared<cuda::GemmTuner>(device.runtime, tuner, std::move(note));
  }
  const cuda::DeviceInfo info = device.runtime->info();
  const std::vector<Precision> can = cuda_precisions(info.major, info.minor);
  if (std::find(can.begin(), can.end(), options.precision) == can.end()) {
    std::string known;
    for (const Precision p : can) known += (known.empty() ? "" : ", ") + std::string(to_string(p));
    return fail("ops/unsupported",
                fmt::format("{} does not run on {} (compute capability {}.{})",
                            to_string(options.precision), info.name, info.major, info.minor),
                "choose from " + known);
  }
  blocks.tuner = device.tuner;
  if (options.kernels == "plain") {
    blocks.kernels = {.rows = false,
                      .attention = false,
                      .cls_attention = false,
                      .cls_tiles = false,
                      .gemm = false};
    blocks.note = "asked for";
  } else if (options.kernels.empty()) {
    auto known = device.tested.find(options.precision);
    if (known == device.tested.end()) {
      BREAKEVEN_TRY(auto tested, cuda::test_kernels(*device.runtime, options.precision));
      known = device.tested.emplace(options.precision, std::move(tested)).first;
    }
    blocks.kernels = known->second.passed;
    blocks.note = known->second.note;
  } else {
    return fail("ops/kernels", fmt::format("'{}' is not a kind of kernels", options.kernels),
                "choose plain, or nothing for the fast ones");
  }
  return make_blocks(device.runtime, options.precision, blocks);
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cuda_backend(const CudaOptions& options) {
  try {
    return make(options);
  } catch (const DeviceFailure& failure) {
    return fail("device/failed",
                fmt::format("cuda:{} cannot be used: {}", options.device, failure.what()),
                "see what `breakeven info` finds");
  }
}

std::vector<Precision> cuda_precisions(int major, int minor) {
  if (major < 8) return {Precision::fp32, Precision::fp32x3, Precision::fp16, Precision::int8};
  std::vector<Precision> can{Precision::fp32, Precision::fp32x3, Precision::bf16, Precision::fp16,
                             Precision::int8};
  if (major > 8 || minor >= 9) can.push_back(Precision::fp8);
  return can;
}

}  // namespace breakeven::ops
