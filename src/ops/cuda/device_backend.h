// What a backend with a device of its own can tell beyond the op contract: times by the device's
// clock, its memory, and which kernels run.
#pragma once

#include <stdexcept>
#include <string>

#include "ops/ops.h"

namespace breakeven::ops {

// A call that a device refused: what, where, and the driver's own words. Thrown by ops and by
// wait(); caught once, in the engine.
class DeviceFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Of one pass by the device's own clock.
struct DeviceSeconds {
  double upload = 0;
  double compute = 0;
  double download = 0;
};

class DeviceBackend : public Backend {
 public:
  // Of the pass that wait() returned from last.
  virtual DeviceSeconds device_seconds(const Lane& lane) const = 0;
  // The most device memory that was taken at once, from the backend's own allocator.
  virtual std::size_t peak_device_bytes() const = 0;
  // Device memory that can still be taken.
  virtual std::size_t free_device_bytes() const = 0;
  // "fast", or which kernels are plain and why; known once a model is packed.
  virtual std::string kernels() const = 0;
  // Where the matrix library's algorithms came from: "tuned 12, cached 30"; "" without a library.
  virtual std::string gemm_algorithms() const = 0;
};

}  // namespace breakeven::ops
