// The known-answer test of a device: each fast kernel and the library's product against its plain
// twin, on random numbers. What differs is not used, and the record says so.
#pragma once

#include <string>

#include "ops/cuda/model_shape.h"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {

struct SelfTest {
  KernelChoice passed;
  std::string note;  // what differed, and by how much; "" when nothing did
};

// Loads this format's kernels. Takes a few megabytes of device memory and some milliseconds.
// Errors: ops/memory. Throws DeviceFailure when the device refuses to work at all.
Result<SelfTest> test_kernels(Runtime& runtime, Precision precision);

}  // namespace breakeven::ops::cuda
