#include "gemm_share.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "ops/cpu/arena.h"
#include "ops/cpu/kernels.h"
#include "peaks.h"

namespace breakeven::bench {
namespace {

using namespace ops::cpu;

constexpr std::size_t kRows = 256;
constexpr std::size_t kWidth = 768;
constexpr double kOperations = 2.0 * kRows * kWidth * kWidth;

struct Matrices {
  Arena arena = Arena::allocate(std::size_t{32} << 20).value();
  float* in = arena.take<float>(kRows * kWidth);
  float* out = arena.take<float>(kRows * kWidth);
  float* weights = arena.take<float>(kWidth * kWidth);
  std::byte* panels = arena.take<std::byte>(panel_weight_bytes(kWidth, kWidth, WeightFormat::f32));
  std::byte* scratch = arena.take<std::byte>(kGemmScratchBytes);
  Matrices() {
    for (std::size_t i = 0; i < kRows * kWidth; ++i) in[i] = static_cast<float>(i % 997) - 498;
    for (std::size_t i = 0; i < kWidth * kWidth; ++i)
      weights[i] = static_cast<float>(i % 991) / 991;
    pack_panels(weights, kWidth, kWidth, WeightFormat::f32, panels);
  }
};

template <class Run>
double rate_of(const Run& run) {
  const double begin = thread_seconds();
  run();
  return kOperations / (thread_seconds() - begin);
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

void print_gemm_share(InstructionSet set, double seconds) {
  Matrices m;
  const bool avx512 = has_avx512(set);
  const Kernels& kernels = kernels_for(avx512);
  PanelWeights weights;
  weights.data = m.panels;
  weights.depth = weights.columns = kWidth;
  weights.format = WeightFormat::f32;
  GemmOutput out;
  out.full = m.out;
  out.stride = kWidth;
  std::vector<double> peak;
  std::vector<double> gemm;
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (int i = 0; i < 5 || Clock::now() < end; ++i) {
    peak.push_back(fma_rate(avx512));
    gemm.push_back(rate_of([&] {
      kernels.multiply_f32({m.in, kWidth}, kRows, weights, 0, weights.panels(), out, m.scratch,
                           nullptr);
    }));
  }
  const double roof = median(peak);
  fmt::print(
      "  fp32 GEMM, {} x {} x {}, in turns, medians: {:.0f} ({:.0f} %) of {:.0f} (FMA from "
      "registers "
      "for a millisecond)\n",
      kRows, kWidth, kWidth, median(gemm) / 1e9, 100 * median(gemm) / roof, roof / 1e9);
}

}  // namespace breakeven::bench
