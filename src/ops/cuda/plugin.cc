#include "ops/cuda/plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/files.h"

namespace breakeven::ops::cuda {
namespace {

constexpr int kOldest = 12, kNewest = 13;  // major versions of CUDA that there are packages for

std::string remedy(int major) {
  return fmt::format("pip install 'breakeven[cuda{}]'", major);
}

std::optional<std::filesystem::path> installed(int major,
                                               const std::vector<std::filesystem::path>& sites) {
  for (const auto& site : sites) {
    auto file = site / fmt::format("breakeven_cuda{}", major) / "libbreakeven_cuda.so";
    if (is_there(file)) return file;
  }
  return std::nullopt;
}

Result<const Plugin*> open(const std::filesystem::path& file) {
  const auto broken = [&](const std::string& what) {
    return fail("device/plugin", fmt::format("{} {}", file.string(), what),
                "pip install --force-reinstall --no-deps breakeven-cuda12 or breakeven-cuda13, as "
                "it was installed");
  };
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return broken(fmt::format("cannot be loaded: {}", ::dlerror()));
  auto* entry = reinterpret_cast<PluginEntry*>(::dlsym(handle, kPluginSymbol));
  if (entry == nullptr) return broken("is no CUDA engine of breakeven's");
  const Plugin* plugin = entry();
  if (std::strcmp(plugin->interface, BREAKEVEN_PLUGIN_INTERFACE) != 0) {
    const std::string package = file.parent_path().filename().string();
    return fail("device/plugin",
                fmt::format("{} is of breakeven {}, and this is another build, of {}",
                            file.string(), plugin->version, BREAKEVEN_VERSION),
                fmt::format("pip install --upgrade 'breakeven[{}]'",
                            package.starts_with("breakeven_") ? package.substr(10) : "cuda13"));
  }
  return plugin;
}

}  // namespace

Result<const Plugin*> open_plugin(const std::vector<std::filesystem::path>& sites,
                                  int driver_version) {
  if (const char* file = std::getenv("BREAKEVEN_CUDA_PLUGIN")) return open(file);
  const int driver = driver_version == 0 ? kNewest : driver_version / 1000;
  if (driver < kOldest) {
    return fail(
        "device/no-engine",
        fmt::format("its driver has CUDA {}.{}, and {}.0 is the oldest that there is an engine for",
                    driver, driver_version % 1000 / 10, kOldest),
        "update the driver");
  }
  const int best = std::min(driver, kNewest);
  for (int major = best; major >= kOldest; --major) {
    if (const auto file = installed(major, sites)) return open(*file);
  }
  if (installed(kNewest, sites)) {
    return fail(
        "device/no-engine",
        fmt::format(
            "breakeven-cuda{} needs a driver of CUDA {} (580 or newer), and this one has {}.{}",
            kNewest, kNewest, driver, driver_version % 1000 / 10),
        remedy(best));
  }
  std::string looked;
  for (const auto& site : sites) looked += (looked.empty() ? "" : ", ") + site.string();
  return fail("device/no-engine",
              fmt::format("breakeven-cuda{}, the engine for it, is not installed (looked in {})",
                          best, looked.empty() ? "no folder" : looked),
              remedy(best));
}

}  // namespace breakeven::ops::cuda
