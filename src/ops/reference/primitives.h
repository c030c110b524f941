// What the reference's blocks are made of. Everything is row-major fp32; sums are in double.
#pragma once

#include <cstddef>
#include <span>

#include "ops/ops.h"

namespace breakeven::ops::reference {

// Outputs that the inner loop of `multiply` computes together.
inline constexpr std::size_t kPanel = 8;

inline constexpr std::size_t round_up_to_panel(std::size_t out) {
  return (out + kPanel - 1) / kPanel * kPanel;
}

// A matrix [out, in] in panels of kPanel outputs: panel p holds [in, kPanel], so that the inner
// loop reads one line a step. Missing outputs of the last panel are zero.
struct Panels {
  std::span<const float> data;  // [round_up_to_panel(out) / kPanel, in, kPanel]
  std::size_t out = 0;
  std::size_t in = 0;
};

// panels[o, i] = matrix[o * out_stride + i * in_stride]; `data` holds round_up_to_panel(out) * in
// values. Strides make the same call serve a matrix, its transpose and one head of it.
Panels pack_panels(const float* matrix, std::size_t out, std::size_t in, std::size_t out_stride,
                   std::size_t in_stride, std::span<float> data);

// result[r * result_stride + o] = bias[o] + sum over i of x[r * x_stride + i] * panels[o, i], for
// r < rows. An empty bias is 0. `scratch` holds at least rows * panels.in values.
void multiply(const float* x, std::size_t rows, std::size_t x_stride, const Panels& panels,
              std::span<const float> bias, float* result, std::size_t result_stride,
              std::span<double> scratch);

// row = softmax(row * scale), in place.
void softmax(std::span<float> row, double scale);

// out = (in - mean) / sqrt(variance + eps) * gamma + beta over one row; out may be in. An empty
// beta is 0.
void layer_norm(std::span<const float> in, const NormWeights& norm, std::span<float> out);

// values = activation(values), in place.
void activate(Activation activation, std::span<float> values);

}  // namespace breakeven::ops::reference
