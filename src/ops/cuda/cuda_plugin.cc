// What Python's package has in place of cuda_runtime.cu: the engine of another package.
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/packages.h"
#include "ops/cuda/plugin.h"

namespace breakeven::ops {
namespace {

// Opened at the first call, once a process.
const Result<const cuda::Plugin*>& plugin() {
  static const auto kOpened =
      cuda::open_plugin(cuda::package_folders(), list_gpus().driver_version);
  return kOpened;
}

}  // namespace

std::optional<Error> why_no_cuda_engine() {
  if (!plugin()) return plugin().error();
  return std::nullopt;
}

namespace cuda {

Result<std::shared_ptr<Runtime>> make_cuda_runtime(int device) {
  if (!plugin()) return tl::unexpected<Error>(plugin().error());
  return (*plugin())->make(device);
}

}  // namespace cuda
}  // namespace breakeven::ops
