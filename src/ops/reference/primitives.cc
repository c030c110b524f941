#include "ops/reference/primitives.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/check.h"

namespace breakeven::ops::reference {
namespace {

// Rows whose sums are kept in registers together.
constexpr std::size_t kRows = 6;

// The compilers' vector extension: elementwise operators on any instruction set.
using Floats = float __attribute__((vector_size(kPanel * sizeof(float))));
using Doubles = double __attribute__((vector_size(kPanel * sizeof(double))));

struct Product {
  const double* x;    // [rows, in]
  const float* bias;  // null: 0
  float* result;
  std::size_t result_stride;
};

// Rows row .. row + Rows of one panel.
template <std::size_t Rows>
[[gnu::always_inline]] inline void multiply_tile(const Product& product, std::size_t row,
                                                 const float* panel, std::size_t in,
                                                 std::size_t first_out, std::size_t outs) {
  Doubles sums[Rows] = {};
  const double* x = product.x + row * in;
  for (std::size_t i = 0; i < in; ++i) {
    Floats line;
    std::memcpy(&line, panel + i * kPanel, sizeof line);
    const Doubles weights = __builtin_convertvector(line, Doubles);
    for (std::size_t r = 0; r < Rows; ++r) {
      sums[r] += x[r * in + i] * weights;
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    float* result = product.result + (row + r) * product.result_stride + first_out;
    for (std::size_t o = 0; o < outs; ++o) {
      const double bias =
          product.bias == nullptr ? 0.0 : static_cast<double>(product.bias[first_out + o]);
      result[o] = static_cast<float>(sums[r][o] + bias);
    }
  }
}

[[gnu::always_inline]] inline void multiply_all(const Product& product, std::size_t rows,
                                                const Panels& panels) {
  for (std::size_t first_out = 0; first_out < panels.out; first_out += kPanel) {
    const float* panel = panels.data.data() + first_out * panels.in;
    const std::size_t outs = std::min(kPanel, panels.out - first_out);
    std::size_t row = 0;
    for (; row + kRows <= rows; row += kRows) {
      multiply_tile<kRows>(product, row, panel, panels.in, first_out, outs);
    }
    for (; row < rows; ++row) {
      multiply_tile<1>(product, row, panel, panels.in, first_out, outs);
    }
  }
}

// One body, compiled for three instruction sets. All give the same bits: the order of the sums does
// not depend on the width, and multiply-adds are not fused (nor would it matter: the products are
// exact).
using MultiplyAll = void (*)(const Product&, std::size_t, const Panels&);

void multiply_baseline(const Product& product, std::size_t rows, const Panels& panels) {
  multiply_all(product, rows, panels);
}
[[gnu::target("avx2")]] void multiply_avx2(const Product& product, std::size_t rows,
                                           const Panels& panels) {
  multiply_all(product, rows, panels);
}
[[gnu::target("avx512f")]] void multiply_avx512(const Product& product, std::size_t rows,
                                                const Panels& panels) {
  multiply_all(product, rows, panels);
}

MultiplyAll choose_multiply() {
  if (__builtin_cpu_supports("avx512f")) return multiply_avx512;
  if (__builtin_cpu_supports("avx2")) return multiply_avx2;
  return multiply_baseline;
}

double gelu_erf(double x) {
  return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
}

double gelu_tanh(double x) {
  const double inner = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + std::tanh(inner));
}

template <class Function>
void apply(std::span<float> values, Function function) {
  for (float& value : values) value = static_cast<float>(function(static_cast<double>(value)));
}

}  // namespace

Panels pack_panels(const float* matrix, std::size_t out, std::size_t in, std::size_t out_stride,
                   std::size_t in_stride, std::span<float> data) {
  const std::size_t padded = round_up_to_panel(out);
  BREAKEVEN_CHECK(data.size() >= padded * in, "{} values for [{}, {}]", data.size(), padded, in);
  float* write = data.data();
  for (std::size_t first = 0; first < padded; first += kPanel) {
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t o = first; o < first + kPanel; ++o) {
        *write++ = o < out ? matrix[o * out_stride + i * in_stride] : 0.0F;
      }
    }
  }
  return {data.first(padded * in), out, in};
}

void multiply(const float* x, std::size_t rows, std::size_t x_stride, const Panels& panels,
              std::span<const float> bias, float* result, std::size_t result_stride,
              std::span<double> scratch) {
  BREAKEVEN_CHECK(scratch.size() >= rows * panels.in, "scratch of {} for {} rows of {}",
                  scratch.size(), rows, panels.in);
  BREAKEVEN_CHECK(bias.empty() || bias.size() == panels.out, "bias of {} for {} outputs",
                  bias.size(), panels.out);
  static const MultiplyAll kMultiply = choose_multiply();
  for (std::size_t r = 0; r < rows; ++r) {
    std::copy_n(x + r * x_stride, panels.in, scratch.data() + r * panels.in);
  }
  const Product product{scratch.data(), bias.empty() ? nullptr : bias.data(), result,
                        result_stride};
  kMultiply(product, rows, panels);
}

void softmax(std::span<float> row, double scale) {
  double highest = -HUGE_VAL;
  for (const float value : row) highest = std::max(highest, static_cast<double>(value) * scale);
  double sum = 0;
  for (const float value : row) sum += std::exp(static_cast<double>(value) * scale - highest);
  for (float& value : row) {
    value = static_cast<float>(std::exp(static_cast<double>(value) * scale - highest) / sum);
  }
}

void layer_norm(std::span<const float> in, const NormWeights& norm, std::span<float> out) {
  BREAKEVEN_CHECK(norm.gamma.size() == in.size() && out.size() == in.size() &&
                      (norm.beta.empty() || norm.beta.size() == in.size()),
                  "gamma {} beta {} in {} out {}", norm.gamma.size(), norm.beta.size(), in.size(),
                  out.size());
  const auto count = static_cast<double>(in.size());
  double sum = 0;
  for (const float value : in) sum += static_cast<double>(value);
  const double mean = sum / count;
  double squares = 0;
  for (const float value : in) {
    const double centred = static_cast<double>(value) - mean;
    squares += centred * centred;
  }
  const double inverse = 1.0 / std::sqrt(squares / count + static_cast<double>(norm.eps));
  for (std::size_t h = 0; h < in.size(); ++h) {
    const double normed = (static_cast<double>(in[h]) - mean) * inverse;
    const double beta = norm.beta.empty() ? 0.0 : static_cast<double>(norm.beta[h]);
    out[h] = static_cast<float>(normed * static_cast<double>(norm.gamma[h]) + beta);
  }
}

void activate(Activation activation, std::span<float> values) {
  switch (activation) {
    case Activation::gelu_erf:
      return apply(values, gelu_erf);
    case Activation::gelu_tanh:
      return apply(values, gelu_tanh);
    case Activation::relu:
      return apply(values, [](double x) { return x < 0 ? 0.0 : x; });
    case Activation::tanh:
      return apply(values, [](double x) { return std::tanh(x); });
  }
  BREAKEVEN_CHECK(false, "activation={}", static_cast<int>(activation));
}

}  // namespace breakeven::ops::reference
