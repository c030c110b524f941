#include "ops/cuda/buckets.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "ops/cuda/kernels/attention.h"

namespace breakeven::ops::cuda {
namespace {

constexpr std::size_t kSmallestStep = 16;  // rows of an mma tile

// From 4,096 rows on a step is 256; from 32,768 on 512, so that buckets stay as many as graphs.
std::size_t rounded_rows(std::size_t rows) {
  const std::size_t floor = std::bit_floor(rows);
  const auto largest = std::clamp<std::size_t>(floor / 64, 256, 512);
  const std::size_t step = std::clamp(floor / 16, kSmallestStep, largest);
  return (rows + step - 1) / step * step;
}

}  // namespace

Bucket largest_bucket(const LaneLimits& limits) {
  return {rounded_rows(limits.rows), limits.sequences};
}

Bucket bucket_for(std::size_t rows, std::size_t sequences, const LaneLimits& limits, bool wide) {
  BREAKEVEN_CHECK(rows > 0 && rows <= limits.rows, "T={} of {}", rows, limits.rows);
  BREAKEVEN_CHECK(sequences > 0 && sequences <= limits.sequences, "B={} of {}", sequences,
                  limits.sequences);
  const bool in_wide_tiles = wide && rows > kFewRows && rows > sequences * kTileRows;
  return {rounded_rows(rows), std::min(std::bit_ceil(sequences), limits.sequences),
          in_wide_tiles ? kWideTileRows : kTileRows};
}

// A sequence of r rows has ceil(r / n) tiles of n rows, which is below r / n + 1.
std::size_t tiles_of(const Bucket& bucket) {
  return bucket.rows / bucket.tile_rows + bucket.sequences;
}

}  // namespace breakeven::ops::cuda
