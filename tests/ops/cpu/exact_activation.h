// Activations in double, as their definitions have them: what kernels' polynomials are held
// against.
#pragma once

#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace breakeven::testing {

inline double activate(ops::Activation activation, double x) {
  switch (activation) {
    case ops::Activation::gelu_erf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case ops::Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ops::Activation::tanh:
      return std::tanh(x);
    case ops::Activation::relu:
      break;
  }
  return std::max(x, 0.0);
}

}  // namespace breakeven::testing
