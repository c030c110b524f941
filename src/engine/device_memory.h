// Does a batch fit into a device's memory? Told before it is taken.
#pragma once

#include <cstddef>

#include "engine/runner.h"

namespace breakeven::engine {

// Rows and sequences that a lane must take for batches of so many texts.
ops::LaneLimits device_limits(const NativeOptions& options, std::size_t batch);

// `lanes` lanes for batches of options.setup.batch texts. Errors: ops/memory, with the largest
// batch that fits.
Result<void> check_device_memory(const Place& place, const NativeOptions& options,
                                 std::size_t lanes);

}  // namespace breakeven::engine
