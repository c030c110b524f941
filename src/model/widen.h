// Makes a narrow checkpoint as wide as DistilBERT without changing the function it computes, so
// that a 10 MB file costs exactly what the real model costs a token. See docs/builtin-model.md for
// where it is no stand-in.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "model/checkpoint.h"

namespace breakeven::model {

struct WideShape {
  std::size_t hidden = 768;
  std::size_t heads = 12;
  std::size_t intermediate = 3072;
};

// Random feature repetition, random shares of split weights, random rotation of each head, all from
// `seed`: computed in double with our own generator, so that the same seed gives the same bits on
// every machine and any number of threads. Only the copies of one hidden or FFN feature keep equal
// values; all weights differ. DistilBERT checkpoints only. Uses all CPUs that the process may use.
// content_hash of the result names the narrow checkpoint, the shape, the seed and the algorithm.
//
// Errors: widen/shape when a size is not a multiple of the checkpoint's (hidden, heads,
// intermediate, and the size of a head), widen/architecture, widen/memory.
Result<Checkpoint> widen(const Checkpoint& narrow, const WideShape& shape, std::uint64_t seed);

}  // namespace breakeven::model
