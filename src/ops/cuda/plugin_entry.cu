// The one symbol of libbreakeven_cuda.so (plugin.h).
#include <fmt/format.h>

#include "ops/cuda/cublas_lt.cuh"
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/packages.h"
#include "ops/cuda/plugin.h"

namespace breakeven::ops::cuda {
namespace {

// A package says what it lacks. The plain products that a build from source falls back to are no
// match for the library's, which nobody who installed an engine should find out by the time.
Result<std::shared_ptr<Runtime>> make(int device) {
  if (!cublas_lt().loaded) {
    return fail("device/no-cublas",
                fmt::format("{} (tried {})", cublas_lt().note, cublas_lt().tried),
                cublas_lt_remedy(CUBLAS_VER_MAJOR) + ", or name the file in BREAKEVEN_CUBLASLT");
  }
  return make_cuda_runtime(device);
}

}  // namespace
}  // namespace breakeven::ops::cuda

extern "C" __attribute__((visibility("default"))) const breakeven::ops::cuda::Plugin*
breakeven_cuda_plugin() {
  static constexpr breakeven::ops::cuda::Plugin plugin{
      BREAKEVEN_PLUGIN_INTERFACE, BREAKEVEN_VERSION, breakeven::ops::cuda::make};
  return &plugin;
}
