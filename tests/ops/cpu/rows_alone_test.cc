// Every kernel computes a row alike, whichever rows share the call: the same bits alone and among
// others. A text's logits are then the same in every batch.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "ops/cpu/arena.h"
#include "ops/cpu/kernels.h"
#include "sets.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kRows = 47;  // no multiple of any block
constexpr std::size_t kColumns = 96;

class RowsAlone : public ::testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    const std::string reason = breakeven::testing::missing(GetParam());
    if (!reason.empty()) GTEST_SKIP() << reason;
    std::mt19937 random(4);
    std::normal_distribution<float> distribution;
    for (std::size_t i = 0; i < kRows * kColumns; ++i) values_[i] = distribution(random);
    for (std::size_t i = 0; i < kColumns * kColumns; ++i) weights_[i] = std::byte(random() % 63);
    for (std::size_t i = 0; i < kColumns; ++i) {
      gamma_[i] = distribution(random);
      beta_[i] = distribution(random);
      scale_[i] = 0.01F + distribution(random) * distribution(random);
    }
  }

  const Kernels& kernels() const { return kernels_for(has_avx512(GetParam())); }

  // run(first, rows) writes rows of `out`: all at once, then in parts of 1, 2, 3 … rows.
  template <class Run>
  void compare(const char* name, const Run& run) {
    std::memset(out_, 0, kOutBytes);
    run(std::size_t{0}, kRows);
    const std::vector<std::byte> together(out_, out_ + kOutBytes);
    std::memset(out_, 0, kOutBytes);
    for (std::size_t first = 0, step = 1; first < kRows; first += step, ++step) {
      run(first, std::min(step, kRows - first));
    }
    EXPECT_EQ(0, std::memcmp(together.data(), out_, kOutBytes)) << name;
    EXPECT_NE(together, std::vector<std::byte>(kOutBytes)) << name;
  }

  void compare_gemm(const char* name, MultiplyPanels* multiply, WeightFormat format,
                    std::size_t element) {
    if (multiply == nullptr) return;
    PanelWeights weights{weights_, kColumns, kColumns, format, beta_, gamma_, scale_};
    for (const auto kind : {GemmOutput::Kind::store, GemmOutput::Kind::activate,
                            GemmOutput::Kind::add, GemmOutput::Kind::gate}) {
      compare(name, [&](std::size_t first, std::size_t rows) {
        GemmOutput out;
        out.kind = kind;
        out.full = reinterpret_cast<float*>(out_) + first * kColumns;
        out.stride = kColumns;
        const auto* in = reinterpret_cast<const std::byte*>(values_) + first * kColumns * element;
        multiply({in, kColumns, row_scale_ + first, row_zero_ + first}, rows, weights, 0,
                 weights.panels(), out, scratch_, nullptr);
      });
    }
  }

  static constexpr std::size_t kOutBytes = kRows * kColumns * sizeof(float);
  Arena arena_ = Arena::allocate(std::size_t{1} << 20).value();
  float* values_ = arena_.take<float>(kRows * kColumns);
  std::byte* weights_ = arena_.take<std::byte>(kColumns * kColumns * sizeof(float));
  float* gamma_ = arena_.take<float>(kColumns);
  float* beta_ = arena_.take<float>(kColumns);
  float* scale_ = arena_.take<float>(kColumns);
  float* row_scale_ = arena_.take<float>(kRows);
  std::int32_t* row_zero_ = arena_.take<std::int32_t>(kRows);
  std::byte* scratch_ = arena_.take<std::byte>(kGemmScratchBytes);
  std::byte* out_ = arena_.take<std::byte>(kOutBytes);
};

TEST_P(RowsAlone, Gemms) {
  for (std::size_t r = 0; r < kRows; ++r) {
    row_scale_[r] = 0.01F + 0.001F * static_cast<float>(r);
    row_zero_[r] = static_cast<std::int32_t>(r * 5);
  }
  const Kernels& k = kernels();
  compare_gemm("fp32", k.multiply_f32, WeightFormat::f32, 4);
  compare_gemm("small bytes", k.multiply_small_s8, WeightFormat::s8, 1);
  if (has_vnni(GetParam())) compare_gemm("bytes", k.multiply_s8, WeightFormat::s8, 1);
  if (has_bf16(GetParam())) compare_gemm("bf16", k.multiply_bf16, WeightFormat::bf16, 2);
}

TEST_P(RowsAlone, RowKernels) {
  const Kernels& k = kernels();
  for (const NumberFormat format : {NumberFormat::none, NumberFormat::bf16, NumberFormat::u8}) {
    std::vector<float> x(values_, values_ + kRows * kColumns);
    const auto norm = [&](std::size_t first, std::size_t rows, float* to) {
      k.norm({gamma_, beta_, 1e-5F, kColumns - 3}, rows, to + first * kColumns, kColumns,
             {format, offset(out_, first * kColumns, format), kColumns, row_scale_ + first,
              row_zero_ + first});
    };
    compare("norm", [&](std::size_t first, std::size_t rows) {
      if (format == NumberFormat::none) {
        auto* to = reinterpret_cast<float*>(out_);
        std::memcpy(to + first * kColumns, values_ + first * kColumns,
                    rows * kColumns * sizeof(float));
        return norm(first, rows, to);
      }
      std::copy_n(values_ + first * kColumns, rows * kColumns, x.data() + first * kColumns);
      norm(first, rows, x.data());
    });
  }
  compare("quantise fp32", [&](std::size_t first, std::size_t rows) {
    k.quantise_f32(values_ + first * kColumns, kColumns, rows, kColumns,
                   {NumberFormat::u8, out_ + first * kColumns, kColumns, row_scale_ + first,
                    row_zero_ + first});
  });
  std::vector<Bf16> half(kRows * kColumns);
  std::transform(values_, values_ + half.size(), half.begin(), to_bf16);
  compare("quantise bf16", [&](std::size_t first, std::size_t rows) {
    k.quantise_bf16(half.data() + first * kColumns, kColumns, rows, kColumns,
                    {NumberFormat::u8, out_ + first * kColumns, kColumns, row_scale_ + first,
                     row_zero_ + first});
  });
  // Heads of 24: half a vector and less.
  const std::vector<float> table = rotary_table(100, 24, kRows);
  std::vector<std::int32_t> positions(kRows);
  for (std::size_t r = 0; r < kRows; ++r) positions[r] = static_cast<std::int32_t>(r * 7 % kRows);
  compare("rotate", [&](std::size_t first, std::size_t rows) {
    float* to = reinterpret_cast<float*>(out_) + first * kColumns;
    std::copy_n(values_ + first * kColumns, rows * kColumns, to);
    k.rotate_f32({table.data(), positions.data() + first, 4, 24}, rows, to, kColumns);
  });
  compare("rotate bf16", [&](std::size_t first, std::size_t rows) {
    Bf16* to = reinterpret_cast<Bf16*>(out_) + first * kColumns;
    std::copy_n(half.data() + first * kColumns, rows * kColumns, to);
    k.rotate_bf16({table.data(), positions.data() + first, 4, 24}, rows, to, kColumns);
  });
}

INSTANTIATE_TEST_SUITE_P(Sets, RowsAlone,
                         ::testing::Values(InstructionSet::avx2, InstructionSet::avx2_vnni,
                                           InstructionSet::avx512_core,
                                           InstructionSet::avx512_core_vnni,
                                           InstructionSet::avx512_core_bf16),
                         [](const auto& of) { return std::string(to_string(of.param)); });

}  // namespace
}  // namespace breakeven::ops::cpu
