// A file such as breakeven-cuda13 holds, but that makes nothing. PLUGIN_INTERFACE: what it says it
// was built from.
#include "ops/cuda/plugin.h"

namespace {

breakeven::Result<std::shared_ptr<breakeven::ops::cuda::Runtime>> make(int device) {
  return breakeven::fail("device/no-cublas", "made for " + std::to_string(device));
}
constexpr breakeven::ops::cuda::Plugin kPlugin{PLUGIN_INTERFACE, "7.8.9", make};

}  // namespace

extern "C" __attribute__((visibility("default"))) const breakeven::ops::cuda::Plugin*
breakeven_cuda_plugin() {
  return &kPlugin;
}
