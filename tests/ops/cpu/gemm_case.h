// One multiplication by bf16, s8 or split weights, on tiles or on vectors, against
// sums in double. Every operand lies right before a guard page, because the sanitizers do not see
// what tiles read.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/limits.h"
#include "exact_activation.h"
#include "guarded.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/tile_kernels.h"
#include "ops/cpu/tile_pack.h"

namespace breakeven::ops::cpu::testing {

using Kind = GemmOutput::Kind;
using breakeven::testing::Guarded;

struct GemmShape {
  std::size_t rows, columns, depth;
  WeightFormat format = WeightFormat::bf16;
  Kind kind = Kind::store;
  Activation activation = Activation::gelu_erf;
  bool bias = true;
  std::size_t panel_begin = 0, panel_end = 0;  // both 0: all
  bool tiles = true;                           // packed for tiles, or for vectors
  bool stores_half = true;                     // vectors: results other than `add` are bf16
  std::size_t gap = 0;                         // vectors: elements between two rows of the input
  int weight_limit = 127;                      // s8
};

inline std::string describe(const GemmShape& s) {
  constexpr const char* kNames[] = {"bf16 ", "int8 ", "fp32 ", "split "};
  return (s.tiles ? "tiles " : "vectors ") +
         std::string(kNames[static_cast<std::size_t>(s.format)]) + std::to_string(s.rows) + " x " +
         std::to_string(s.columns) + " x " + std::to_string(s.depth) + " kind " +
         std::to_string(static_cast<int>(s.kind)) + " activation " +
         std::to_string(static_cast<int>(s.activation)) + (s.bias ? " bias" : "") +
         (s.stores_half ? " to bf16" : " to fp32") + " gap " + std::to_string(s.gap) +
         " weights to " + std::to_string(s.weight_limit) + " panels " +
         std::to_string(s.panel_begin) + "-" + std::to_string(s.panel_end);
}

inline std::size_t pick(std::mt19937& random, std::size_t low, std::size_t high) {
  return std::uniform_int_distribution<std::size_t>(low, high)(random);
}
// All that goes with any rows, columns and depth.
inline void choose_kind_and_panels(GemmShape& shape, std::mt19937& random) {
  shape.kind = static_cast<Kind>(pick(random, 0, 2));
  shape.activation = static_cast<Activation>(pick(random, 0, 3));
  shape.bias = pick(random, 0, 3) != 0;
  shape.panel_begin = pick(random, 0, shape.columns / kPanel - 1);
  shape.panel_end = pick(random, shape.panel_begin + 1, shape.columns / kPanel);
}

// One multiplication with all its memory, each piece of it right before a guard page.
class GemmCase {
 public:
  // Values are integers when `integers`: sums and scales are then exact in fp32.
  GemmCase(GemmShape shape, bool integers, std::uint32_t seed)
      : shape_(shape),
        integers_(integers),
        random_(seed),
        input_(((shape.tiles ? padded(shape.rows, kRowsAtOnce) : shape.rows) *
                    (shape.depth + shape.gap) -
                shape.gap) *
               element()),
        panels_(panel_weight_bytes(shape.columns, shape.depth, shape.format)),
        half_(shape.rows * shape.columns * (split() ? 2 : 1)),
        sum_(shape.rows * shape.columns),
        bias_(shape.columns),
        column_scale_(shape.columns),
        column_sum_(shape.columns),
        row_scale_(shape.rows),
        row_zero_(shape.rows),
        scratch_(kGemmScratchBytes),
        values_(shape.rows * shape.depth),
        weights_(shape.columns * shape.depth) {
    if (shape_.panel_end == 0) shape_.panel_end = shape_.columns / kPanel;
    fill();
  }

  // `tiles`: whose `multiply` it is; null for vectors.
  void run(MultiplyPanels* multiply, const TileKernels* tiles = nullptr) {
    PanelWeights weights{panels_.data(), shape_.depth, shape_.columns, shape_.format,
                         shape_.bias ? bias_.data() : nullptr};
    GemmRows in{input_.data(), stride()};
    if (int8()) {
      weights.column_scale = column_scale_.data();
      weights.column_sum = column_sum_.data();
      in.row_scale = row_scale_.data();
      in.row_zero = row_zero_.data();
    }
    GemmOutput out;
    out.kind = shape_.kind;
    out.activation = shape_.activation;
    out.half = stores_half() ? half_.data() : nullptr;
    out.full = sum_.data();
    out.stride = shape_.columns;
    multiply(in, shape_.rows, weights, shape_.panel_begin, shape_.panel_end, out, scratch_.data(),
             nullptr);
    if (tiles != nullptr) tiles->release();
  }

  // The bits of all results.
  bool same_results(const GemmCase& other) const {
    const std::size_t count = shape_.rows * shape_.columns;
    return std::memcmp(half_.data(), other.half_.data(),
                       count * (split() ? 2 : 1) * sizeof(Bf16)) == 0 &&
           std::memcmp(sum_.data(), other.sum_.data(), count * sizeof(float)) == 0;
  }

  void check() {
    for (std::size_t r = 0; r < shape_.rows; ++r) {
      for (std::size_t c = 0; c < shape_.columns; ++c) check(r, c);
    }
  }

 private:
  static constexpr float kBefore = 3.0F;  // what lies in the output

  bool int8() const { return shape_.format == WeightFormat::s8; }
  bool split() const { return shape_.format == WeightFormat::split; }
  bool stores_half() const { return shape_.tiles || shape_.stores_half; }
  std::size_t stride() const { return shape_.depth + shape_.gap; }
  std::size_t element() const { return panel_weight_bytes(1, 1, shape_.format); }
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  float real() { return std::normal_distribution<float>()(random_); }

  void fill() {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      // One column in 50 is an outlier of 40 times the rest.
      const float most = i % shape_.depth % 50 == 7 ? 40.0F : 1.0F;
      if (int8()) {
        values_[i] = static_cast<float>(between(0, 255));
        reinterpret_cast<std::uint8_t*>(input_.data())[input_at(i)] =
            static_cast<std::uint8_t>(values_[i]);
      } else {
        values_[i] = integers_ ? static_cast<float>(between(-4, 4)) : most * real();
        write_half(i);
      }
    }
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      weights_[i] = int8() ? static_cast<float>(between(-shape_.weight_limit, shape_.weight_limit))
                    : integers_ ? static_cast<float>(between(-4, 4))
                    : split()   ? real()
                                : from_bf16(to_bf16(real()));
    }
    pack();
    for (std::size_t c = 0; c < shape_.columns; ++c) {
      bias_.data()[c] = integers_ ? static_cast<float>(between(-9, 9)) : real();
      column_scale_.data()[c] = integers_ ? 1.0F : 0.01F + std::fabs(real()) / 64;
      column_sum_.data()[c] = 0;
      for (std::size_t k = 0; k < shape_.depth; ++k) {
        column_sum_.data()[c] += weights_[c * shape_.depth + k];
      }
    }
    for (std::size_t r = 0; r < shape_.rows; ++r) {
      row_scale_.data()[r] = integers_ ? 1.0F : 0.01F + std::fabs(real()) / 64;
      row_zero_.data()[r] = between(0, 255);
      for (std::size_t c = 0; c < shape_.columns; ++c) {
        for (std::size_t plane = 0; plane < (split() ? 2 : 1); ++plane) {
          half_.data()[half_at(r, c) + plane * shape_.columns] = to_bf16(kBefore);
        }
        sum_.data()[r * shape_.columns + c] = kBefore;
      }
    }
  }

  void pack() {
    const std::size_t columns = shape_.columns;
    const std::size_t depth = shape_.depth;
    if (split()) return pack_split_tiles(weights_.data(), columns, depth, panels_.data());
    if (int8()) {
      const std::vector<std::int8_t> small(weights_.begin(), weights_.end());
      if (shape_.tiles) return pack_tiles(small.data(), columns, depth, panels_.data());
      return pack_panels(small.data(), columns, depth, shape_.format, panels_.data());
    }
    if (shape_.tiles) return pack_tiles(weights_.data(), columns, depth, panels_.data());
    std::vector<Bf16> half(weights_.size());
    std::transform(weights_.begin(), weights_.end(), half.begin(), to_bf16);
    pack_panels(half.data(), columns, depth, shape_.format, panels_.data());
  }

  std::size_t half_at(std::size_t r, std::size_t c) const {
    return r * shape_.columns * (split() ? 2 : 1) + c;
  }
  std::size_t input_at(std::size_t i) const {
    return i / shape_.depth * stride() + i % shape_.depth;
  }
  // Value i to the input as bf16, which is then what it is, or as two of them.
  void write_half(std::size_t i) {
    auto* rows = reinterpret_cast<Bf16*>(input_.data());
    if (!split()) {
      rows[input_at(i)] = to_bf16(values_[i]);
      values_[i] = from_bf16(rows[input_at(i)]);
      return;
    }
    Bf16* high = rows + i / shape_.depth * 2 * shape_.depth + i % shape_.depth;
    high[0] = to_bf16(values_[i]);
    high[shape_.depth] = to_bf16(values_[i] - from_bf16(high[0]));
  }

  double exact(std::size_t r, std::size_t c, double& size) const {
    double sum = 0;
    size = 0;
    const double zero = int8() ? row_zero_.data()[r] : 0;
    for (std::size_t k = 0; k < shape_.depth; ++k) {
      const double product =
          (values_[r * shape_.depth + k] - zero) * weights_[c * shape_.depth + k];
      sum += product;
      size += std::fabs(product);
    }
    if (int8()) {
      const double scale = static_cast<double>(row_scale_.data()[r]) * column_scale_.data()[c];
      sum *= scale;
      size *= scale;
    }
    return sum + (shape_.bias ? bias_.data()[c] : 0.0F);
  }

  void check(std::size_t r, std::size_t c) const {
    const std::size_t at = r * shape_.columns + c;
    const std::size_t panel = c / kPanel;
    const bool ours = panel >= shape_.panel_begin && panel < shape_.panel_end;
    const bool to_full = ours && (shape_.kind == Kind::add || !stores_half() ||
                                  (split() && shape_.kind == Kind::store));
    const bool to_half = ours && !to_full;
    const float full = sum_.data()[at];
    const Bf16* half = half_.data() + half_at(r, c);
    if (!to_full) {
      ASSERT_EQ(full, kBefore) << describe(shape_) << " at " << r << "," << c;
    }
    if (!to_half) {
      ASSERT_EQ(from_bf16(*half), kBefore) << describe(shape_) << " at " << r << "," << c;
      if (split()) {
        ASSERT_EQ(from_bf16(half[shape_.columns]), kBefore) << describe(shape_);
      }
    }
    if (!ours) return;
    double size = 0;
    const double value = exact(r, c, size);
    // fp32 sums of `depth` products, in an order of the hardware's; split operands are off by 2^-17
    // each, and the smallest of four products is left out.
    const double steps = shape_.tiles ? 8 : 16;
    const double rounding = integers_ ? 0 : size * (split() ? 0x1p-16 : 0x1p-24 * steps);
    if (to_full) {
      const bool activates = shape_.kind == Kind::activate;
      const double result = shape_.kind == Kind::add ? value + kBefore
                            : activates ? breakeven::testing::activate(shape_.activation, value)
                                        : value;
      // A slope of GELU is 1.13 at most; the short one keeps x (1 - 4e-6) of a large x.
      const double polynomial = activates ? polynomial_error() + 1.2 * rounding : 0;
      const double fraction = activates && has_short_gelu() ? 4e-6
                              : activates || !integers_     ? 0x1p-22
                                                            : 0;
      ASSERT_NEAR(full, result, rounding + std::fabs(value) * fraction + polynomial)
          << describe(shape_) << " at " << r << "," << c;
      return;
    }
    check_half(half, value, rounding, "row " + std::to_string(r) + ", column " + std::to_string(c));
  }

  bool has_short_gelu() const { return int8() && shape_.activation == Activation::gelu_erf; }
  double polynomial_error() const {
    return limit(has_short_gelu() ? "ops/cpu/int8_gelu_abs_max" : "ops/cpu/activation_abs_max");
  }

  void check_half(const Bf16* half, double value, double rounding, const std::string& where) const {
    const double result =
        shape_.kind == Kind::store ? value : breakeven::testing::activate(shape_.activation, value);
    // Sums of integers up to 2^24 are exact, and then rounded once; polynomials add their own.
    const double polynomial = shape_.kind == Kind::activate ? polynomial_error() : 0;
    const double ours =
        split() ? double{from_bf16(half[0])} + from_bf16(half[shape_.columns]) : from_bf16(*half);
    const double format = std::fabs(result) * (split() ? 0x1p-16 : 0x1p-8);
    ASSERT_NEAR(ours, result, format + rounding * 1.2 + polynomial)
        << describe(shape_) << " " << where;
    if (integers_ && shape_.kind == Kind::store) {
      ASSERT_EQ(from_bf16(*half), from_bf16(to_bf16(static_cast<float>(result))))
          << describe(shape_) << " " << where;
    }
  }

  GemmShape shape_;
  bool integers_;
  std::mt19937 random_;
  Guarded<std::byte> input_, panels_;
  Guarded<Bf16> half_;
  Guarded<float> sum_, bias_, column_scale_, column_sum_, row_scale_;
  Guarded<std::int32_t> row_zero_;
  Guarded<std::byte> scratch_;
  std::vector<float> values_, weights_;
};

}  // namespace breakeven::ops::cpu::testing
