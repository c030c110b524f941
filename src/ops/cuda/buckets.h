// Sizes for which work is prepared: a graph and a GEMM's algorithm belong to a bucket, and a group
// runs in the smallest bucket that holds it. What a bucket has over the group is computed and
// thrown away.
#pragma once

#include <cstddef>
#include <tuple>

#include "ops/ops.h"

namespace breakeven::ops::cuda {

struct Bucket {
  std::size_t rows = 0;        // T
  std::size_t sequences = 0;   // B
  std::size_t tile_rows = 64;  // query rows of an attention tile: 64 or 128
  friend bool operator==(const Bucket&, const Bucket&) = default;
  friend bool operator<(const Bucket& a, const Bucket& b) {
    return std::tie(a.rows, a.sequences, a.tile_rows) < std::tie(b.rows, b.sequences, b.tile_rows);
  }
};

// Rows: steps of 16 up to 512, then of 1/16 of the next lower power of two, but at most 256, and
// 512 from 32,768 on: at most 1/16 of the rows are waste above 512, and 1/32 above 8,192.
// Sequences: powers of two, so that graphs stay few. Neither goes beyond the lane's own largest
// bucket. Tiles are of 128 rows where `wide` allows it, sequences have more than 64 on average,
// and rows are more than kFewRows: below, more and smaller blocks keep more of the device busy.
Bucket bucket_for(std::size_t rows, std::size_t sequences, const LaneLimits& limits,
                  bool wide = false);
// The largest bucket of a lane, in memory, too: its arena is sized for it.
Bucket largest_bucket(const LaneLimits& limits);

// Up to here a pass is bound by weights, launches and copies instead of by rows.
inline constexpr std::size_t kFewRows = 512;

// Tiles of query rows that a bucket's groups may need at most.
std::size_t tiles_of(const Bucket& bucket);

}  // namespace breakeven::ops::cuda
