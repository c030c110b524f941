// The fp32 GEMM on vectors against sums in double, for AVX2 and AVX-512: every number of rows
// around a block, integers that must come out exact, guard pages behind every operand, and proof
// that the vectors asked for are the ones that ran.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/limits.h"
#include "exact_activation.h"
#include "guarded.h"
#include "ops/cpu/kernels.h"
#include "sets.h"
#include "vector_state.h"

namespace breakeven::ops::cpu {
namespace {

using Kind = GemmOutput::Kind;
using breakeven::testing::activate;
using breakeven::testing::Guarded;

struct Shape {
  std::size_t rows, columns, depth;
  Kind kind = Kind::store;
  Activation activation = Activation::gelu_erf;
  bool bias = true;
  std::size_t panel_begin = 0, panel_end = 0;  // both 0: all
  std::size_t gap = 0;                         // elements between two rows
};

std::string describe(const Shape& s) {
  return std::to_string(s.rows) + " x " + std::to_string(s.columns) + " x " +
         std::to_string(s.depth) + " kind " + std::to_string(static_cast<int>(s.kind)) +
         " panels " + std::to_string(s.panel_begin) + "-" + std::to_string(s.panel_end);
}

// One multiplication with all its memory, each piece of it right before a guard page.
class Case {
 public:
  Case(Shape shape, bool integers, std::uint32_t seed)
      : shape_(shape),
        integers_(integers),
        random_(seed),
        in_((shape.rows - 1) * (shape.depth + shape.gap) + shape.depth),
        out_((shape.rows - 1) * (shape.columns + shape.gap) + shape.columns),
        bias_(shape.columns),
        panels_(panel_weight_bytes(shape.columns, shape.depth, WeightFormat::f32)),
        scratch_(kGemmScratchBytes),
        weights_(shape.columns * shape.depth) {
    if (shape_.panel_end == 0) shape_.panel_end = shape_.columns / kPanel;
    for (std::size_t i = 0; i < in_size(); ++i) in_.data()[i] = value();
    for (float& weight : weights_) weight = value();
    for (std::size_t c = 0; c < shape_.columns; ++c) bias_.data()[c] = value();
    for (std::size_t i = 0; i < out_size(); ++i) out_.data()[i] = kBefore;
    pack_panels(weights_.data(), shape_.columns, shape_.depth, WeightFormat::f32, panels_.data());
  }

  void run(const Kernels& kernels) {
    PanelWeights weights;
    weights.data = panels_.data();
    weights.depth = shape_.depth;
    weights.columns = shape_.columns;
    weights.format = WeightFormat::f32;
    weights.bias = shape_.bias ? bias_.data() : nullptr;
    GemmOutput out;
    out.kind = shape_.kind;
    out.activation = shape_.activation;
    out.full = out_.data();
    out.stride = shape_.columns + shape_.gap;
    kernels.multiply_f32({in_.data(), shape_.depth + shape_.gap}, shape_.rows, weights,
                         shape_.panel_begin, shape_.panel_end, out, scratch_.data(),
                         panels_.data());
  }

  void check() const {
    std::vector<bool> result(out_size(), false);
    for (std::size_t r = 0; r < shape_.rows; ++r) {
      for (std::size_t c = 0; c < shape_.columns; ++c) {
        const std::size_t panel = c / kPanel;
        if (panel < shape_.panel_begin || panel >= shape_.panel_end) continue;
        result[r * (shape_.columns + shape_.gap) + c] = true;
        check(r, c);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (!result[i]) {
        ASSERT_EQ(out_.data()[i], kBefore) << describe(shape_) << " at " << i;
      }
    }
  }

 private:
  static constexpr float kBefore = 3.0F;  // what lies in the output

  std::size_t in_size() const {
    return (shape_.rows - 1) * (shape_.depth + shape_.gap) + shape_.depth;
  }
  std::size_t out_size() const {
    return (shape_.rows - 1) * (shape_.columns + shape_.gap) + shape_.columns;
  }
  float value() {
    if (integers_) {
      return static_cast<float>(std::uniform_int_distribution<int>(-9, 9)(random_));
    }
    return std::normal_distribution<float>()(random_);
  }

  void check(std::size_t r, std::size_t c) const {
    double sum = shape_.bias ? bias_.data()[c] : 0.0F;
    double size = std::fabs(sum);
    for (std::size_t k = 0; k < shape_.depth; ++k) {
      const double product = static_cast<double>(in_.data()[r * (shape_.depth + shape_.gap) + k]) *
                             weights_[c * shape_.depth + k];
      sum += product;
      size += std::fabs(product);
    }
    const float ours = out_.data()[r * (shape_.columns + shape_.gap) + c];
    const bool activates = shape_.kind == Kind::activate;
    const double expected = activates                  ? activate(shape_.activation, sum)
                            : shape_.kind == Kind::add ? sum + kBefore
                                                       : sum;
    if (integers_ && !activates) {
      ASSERT_EQ(ours, expected) << describe(shape_) << " at " << r << "," << c;
      return;
    }
    const double polynomial = activates ? limit("ops/cpu/activation_abs_max") : 0;
    // One rounding for each of `depth` additions; a slope of GELU is 1.13 at most.
    const double rounding = (size + kBefore) * 0x1p-24 * 16;
    ASSERT_NEAR(ours, expected, rounding + polynomial + std::fabs(expected) * 0x1p-22)
        << describe(shape_) << " at " << r << "," << c;
  }

  Shape shape_;
  bool integers_;
  std::mt19937 random_;
  Guarded<float> in_, out_, bias_;
  Guarded<std::byte> panels_, scratch_;
  std::vector<float> weights_;
};

class FloatGemm : public ::testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    const std::string reason = breakeven::testing::missing(GetParam());
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  static void run(const Shape& shape, bool integers, std::uint32_t seed) {
    Case one(shape, integers, seed);
    one.run(kernels_for(has_avx512(GetParam())));
    one.check();
  }
};

TEST_P(FloatGemm, IntegersAreExactAroundEveryEdge) {
  std::uint32_t seed = 1;
  for (std::size_t rows = 1; rows <= 44; ++rows) {
    for (const std::size_t columns : {32U, 64U, 96U}) {
      for (const std::size_t depth : {8U, 16U, 56U, 768U}) {
        if (depth == 768 && rows > 16) continue;
        for (const Kind kind : {Kind::store, Kind::add}) {
          run({rows, columns, depth, kind}, true, ++seed);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_P(FloatGemm, RandomShapesAndValues) {
  std::mt19937 random(7);
  const auto pick = [&](std::size_t low, std::size_t high) {
    return std::uniform_int_distribution<std::size_t>(low, high)(random);
  };
  for (std::uint32_t i = 0; i < 300; ++i) {
    Shape shape{pick(1, 100), kPanel * pick(1, 6), 8 * pick(1, 50)};
    shape.kind = static_cast<Kind>(pick(0, 2));
    shape.activation = static_cast<Activation>(pick(0, 3));
    shape.bias = pick(0, 3) != 0;
    shape.gap = pick(0, 2) * 16;
    shape.panel_begin = pick(0, shape.columns / kPanel - 1);
    shape.panel_end = pick(shape.panel_begin + 1, shape.columns / kPanel);
    run(shape, false, 1000 + i);
    if (HasFatalFailure()) return;
  }
}

TEST_P(FloatGemm, APartIsAMatrixOfItsOwn) {
  constexpr std::size_t kDepth = 8;
  std::vector<float> weights(3 * kPanel * kDepth), bias(3 * kPanel);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 13);
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i);
  Guarded<std::byte> panels(panel_weight_bytes(3 * kPanel, kDepth, WeightFormat::f32));
  pack_panels(weights.data(), 3 * kPanel, kDepth, WeightFormat::f32, panels.data());
  PanelWeights all;
  all.data = panels.data();
  all.depth = kDepth;
  all.columns = 3 * kPanel;
  all.format = WeightFormat::f32;
  all.bias = bias.data();
  const std::vector<float> in(kDepth, 1.0F);
  std::vector<float> whole(3 * kPanel), cut(kPanel);
  alignas(64) std::byte scratch[kGemmScratchBytes];
  GemmOutput out;
  out.stride = 3 * kPanel;
  out.full = whole.data();
  const Kernels& kernels = kernels_for(has_avx512(GetParam()));
  kernels.multiply_f32({in.data(), kDepth}, 1, all, 0, 3, out, scratch, nullptr);
  out.full = cut.data();
  kernels.multiply_f32({in.data(), kDepth}, 1, all.part(kPanel, kPanel), 0, 1, out, scratch,
                       nullptr);
  EXPECT_EQ(std::vector<float>(whole.begin() + kPanel, whole.begin() + 2 * kPanel), cut);
}

TEST_P(FloatGemm, TheVectorsAskedForRan) {
  const std::string reason = breakeven::testing::missing(InstructionSet::avx512_core);
  if (!reason.empty()) GTEST_SKIP() << reason << ", whose registers show what ran";
  Case one({13, 64, 64}, true, 1);
  const Kernels& kernels = kernels_for(has_avx512(GetParam()));
  one.run(kernels);  // what is slow once has happened
  breakeven::testing::forget_avx512_state();
  ASSERT_EQ(breakeven::testing::avx512_state_in_use(), 0U);
  one.run(kernels);
  EXPECT_EQ(breakeven::testing::avx512_state_in_use() != 0, has_avx512(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Sets, FloatGemm,
                         ::testing::Values(InstructionSet::avx2, InstructionSet::avx512_core),
                         [](const auto& of) { return std::string(to_string(of.param)); });

}  // namespace
}  // namespace breakeven::ops::cpu
