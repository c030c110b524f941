#include "engine/device_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace breakeven::engine {
namespace {

// A GPU takes a whole batch as one group, up to this many rows: beyond, no kernel gains.
constexpr std::size_t kGroupRows = 65536;

std::size_t bytes_for(const Place& place, const NativeOptions& options, std::size_t lanes,
                      std::size_t batch) {
  return lanes * place.backend->lane_bytes(*place.packed, device_limits(options, batch));
}

// 0 for none. The caller has seen that batch does not fit.
std::size_t largest_batch(const Place& place, const NativeOptions& options, std::size_t lanes) {
  const std::size_t free = place.backend->free_device_bytes();
  std::size_t fits = 0;
  std::size_t too_large = options.setup.batch;
  while (fits + 1 < too_large) {
    const std::size_t middle = fits + (too_large - fits) / 2;
    (bytes_for(place, options, lanes, middle) <= free ? fits : too_large) = middle;
  }
  return fits;
}

}  // namespace

ops::LaneLimits device_limits(const NativeOptions& options, std::size_t batch) {
  const std::size_t rows =
      std::max(options.setup.max_length, std::min(kGroupRows, batch * options.setup.max_length));
  return {.rows = rows, .sequences = std::min(batch, rows)};
}

Result<void> check_device_memory(const Place& place, const NativeOptions& options,
                                 std::size_t lanes) {
  const std::size_t free = place.backend->free_device_bytes();
  const std::size_t need = bytes_for(place, options, lanes, options.setup.batch);
  if (need <= free) return {};
  const std::size_t fits = largest_batch(place, options, lanes);
  return fail(
      "ops/memory",
      fmt::format("a batch of {} texts of {} tokens needs {} on {}{}, and {} are free",
                  options.setup.batch, options.setup.max_length, format_bytes(double(need)),
                  place.device, lanes > 1 ? fmt::format(" for {} batches in flight", lanes) : "",
                  format_bytes(double(free))),
      fits > 0 ? fmt::format("the largest batch that fits is {}", fits)
               : "no batch fits: take a smaller --max-length or a lower --precision");
}

}  // namespace breakeven::engine
