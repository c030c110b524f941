// The reference backend: the judge of every other one.
//
// Arithmetic: activations and weights are stored in fp32; every sum (dot products, softmax, mean
// and variance) and every transcendental function is computed in double and rounded to fp32 once,
// when it is stored. A product of two floats is exact in double, so a dot product carries one
// rounding to fp32 plus errors of 1e-16: what another backend differs by is that backend's error.
// Sums run in ascending order, whatever the thread count and the instruction set: the same input
// gives the same bits on every machine whose exp, erf and tanh do.
//
// Not fast, but no toy either: rows are shared out among the lane's threads.
#pragma once

#include <memory>

#include "ops/ops.h"

namespace breakeven::ops {

// Precision fp32. pack() and make_lane() copy and allocate; nothing is allocated after them.
std::unique_ptr<Backend> make_reference_backend();

}  // namespace breakeven::ops
