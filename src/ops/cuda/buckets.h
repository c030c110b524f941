// Sizes for which work is prepared: a graph and a GEMM's algorithm belong to a bucket, and a group
// runs in the smallest bucket that holds it. What a bucket has over the group is computed and
// thrown away.
#pragma once

#include <cstddef>

#include "ops/ops.h"

namespace breakeven::ops::cuda {

struct Bucket {
  std::size_t rows = 0;       // T
  std::size_t sequences = 0;  // B
  friend bool operator==(const Bucket&, const Bucket&) = default;
  friend bool operator<(const Bucket& a, const Bucket& b) {
    return a.rows != b.rows ? a.rows < b.rows : a.sequences < b.sequences;
  }
};

// Rows: steps of 16 up to 512, then of 1/16 of the next lower power of two, but at most 256, and
// 512 from 32,768 on: at most 1/16 of the rows are waste above 512, and 1/32 above 8,192.
// Sequences: powers of two, so that graphs stay few. Neither goes beyond the lane's own largest
// bucket.
Bucket bucket_for(std::size_t rows, std::size_t sequences, const LaneLimits& limits);
// The largest bucket of a lane: its arena is sized for it.
Bucket largest_bucket(const LaneLimits& limits);

// Up to here a pass is bound by weights, launches and copies instead of by rows.
inline constexpr std::size_t kFewRows = 512;

// Tiles of 64 query rows that a bucket's groups may need at most.
std::size_t tiles_of(const Bucket& bucket);

}  // namespace breakeven::ops::cuda
