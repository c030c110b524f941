// The CUDA engine as a file of its own: what the packages breakeven-cuda12 and breakeven-cuda13
// hold, and Python's package breakeven opens where there is a GPU. The file gives a Runtime; all
// that stands above it (backend, tuner, lanes) is in whoever opens it.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {

// C++ types cross this border, so both sides are built from the same headers: `interface` is their
// hash, and is compared before anything else is read. Only added to, at the end.
struct Plugin {
  const char* interface;
  const char* version;  // of breakeven
  // Errors: device/failed; device/no-cublas, with the places that were looked at.
  Result<std::shared_ptr<Runtime>> (*make)(int device);
};
// The file's one symbol: extern "C" const Plugin* breakeven_cuda_plugin().
inline constexpr char kPluginSymbol[] = "breakeven_cuda_plugin";
using PluginEntry = const Plugin*();

// Looks for breakeven_cuda13 and breakeven_cuda12 in `sites` and opens the newest that a driver
// takes which supports CUDA up to `driver_version` (13000 = 13.0; 0: unknown).
// BREAKEVEN_CUDA_PLUGIN names the one file instead. It stays loaded. Errors: device/no-engine
// (there is none, or none for this driver), device/plugin (it cannot be loaded, or is of another
// version); each says what to type.
Result<const Plugin*> open_plugin(const std::vector<std::filesystem::path>& sites,
                                  int driver_version);

}  // namespace breakeven::ops::cuda
