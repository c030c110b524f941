// The own GEMM against plain loops, for any shape, kind of output and range of panels. All values
// are small integers, so results are exact; every buffer ends at a guard page, because sanitizers
// do not see tile loads. Does nothing on a CPU without AMX.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "base/check.h"
#include "ops/cpu/attention_amx.h"
#include "ops/cpu/gemm_amx.h"
#include "ops/cpu/guarded.h"
#include "ops/cpu/isa.h"

namespace {

using namespace breakeven::ops::cpu;
using breakeven::ops::Activation;
using Kind = TileOutput::Kind;
using breakeven::testing::Guarded;

Bf16 halve(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<Bf16>((bits + 0x7FFF + (bits >> 16 & 1U)) >> 16);
}

struct Shape {
  std::size_t rows, panels, depth, panel_begin, panel_end;
  bool int8, bias;
  Kind kind;
  std::uint32_t seed;
  std::size_t columns() const { return panels * kPanel; }
};

Shape shape_of(const std::uint8_t* data) {
  Shape s{};
  s.rows = data[0] % 100 + std::size_t{1};
  s.panels = data[1] % 5 + std::size_t{1};
  s.depth = 64 * (data[2] % 8 + std::size_t{1});
  s.panel_begin = data[3] % s.panels;
  s.panel_end = s.panel_begin + 1 + data[4] % (s.panels - s.panel_begin);
  s.int8 = (data[5] & 1) != 0;
  s.bias = (data[5] & 2) != 0;
  s.kind = static_cast<Kind>(data[5] / 4 % 3);
  s.seed = data[6];
  return s;
}

template <class Buffer>
void fill(Buffer& to, std::size_t count, std::mt19937& random, int low, int high) {
  std::uniform_int_distribution<int> pick(low, high);
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(pick(random));
}

// Inputs, weights and what lies in the output before, as numbers.
struct Numbers {
  std::vector<float> in, weights, bias, zero;
  explicit Numbers(const Shape& s)
      : in(s.rows * s.depth), weights(s.columns() * s.depth), bias(s.columns()), zero(s.rows) {
    std::mt19937 random(s.seed);
    fill(in, in.size(), random, s.int8 ? 0 : -4, s.int8 ? 255 : 4);
    fill(weights, weights.size(), random, s.int8 ? -127 : -4, s.int8 ? 127 : 4);
    fill(bias, bias.size(), random, s.bias ? -9 : 0, s.bias ? 9 : 0);
    fill(zero, zero.size(), random, 0, s.int8 ? 255 : 0);
  }
  float result(const Shape& s, std::size_t row, std::size_t column) const {
    double sum = bias[column];
    for (std::size_t k = 0; k < s.depth; ++k) {
      sum += (in[row * s.depth + k] - zero[row]) * weights[column * s.depth + k];
    }
    return static_cast<float>(sum);
  }
};

constexpr float kBefore = 3.0F;

void check(const Shape& s, const Numbers& numbers, const Bf16* half, const float* sum) {
  for (std::size_t r = 0; r < s.rows; ++r) {
    for (std::size_t c = 0; c < s.columns(); ++c) {
      const std::size_t at = r * s.columns() + c;
      const bool ours = c / kPanel >= s.panel_begin && c / kPanel < s.panel_end;
      const float value = ours ? numbers.result(s, r, c) : 0;
      const float added = ours && s.kind == Kind::add ? kBefore + value : kBefore;
      const float held = s.kind == Kind::activate ? std::max(value, 0.0F) : value;
      const Bf16 halved = ours && s.kind != Kind::add ? halve(held) : halve(kBefore);
      BREAKEVEN_CHECK(sum[at] == added && half[at] == halved,
                      "rows={} panels={} depth={} int8={} kind={} at {},{}: {} and {:#x}", s.rows,
                      s.panels, s.depth, s.int8, static_cast<int>(s.kind), r, c, sum[at], half[at]);
    }
  }
}

void run(const Shape& s) {
  const Numbers numbers(s);
  const std::size_t taken = (s.rows + kTileRowsAtOnce - 1) / kTileRowsAtOnce * kTileRowsAtOnce;
  Guarded<std::byte> in(taken * s.depth * (s.int8 ? 1 : 2));
  Guarded<std::byte> tiles(tile_weight_bytes(s.columns(), s.depth, s.int8));
  Guarded<std::byte> scratch(kTileGemmScratchBytes);
  Guarded<Bf16> half(s.rows * s.columns());
  Guarded<float> sum(s.rows * s.columns());
  std::vector<float> column_sum(s.columns(), 0.0F);
  const std::vector<float> ones(std::max(s.columns(), s.rows), 1.0F);
  std::fill_n(half.data(), s.rows * s.columns(), halve(kBefore));
  std::fill_n(sum.data(), s.rows * s.columns(), kBefore);
  for (std::size_t i = 0; i < numbers.in.size(); ++i) {
    if (s.int8) {
      reinterpret_cast<std::uint8_t*>(in.data())[i] = static_cast<std::uint8_t>(numbers.in[i]);
    } else {
      reinterpret_cast<Bf16*>(in.data())[i] = halve(numbers.in[i]);
    }
  }
  for (std::size_t i = 0; i < numbers.weights.size(); ++i) {
    column_sum[i / s.depth] += numbers.weights[i];
  }
  if (s.int8) {
    const std::vector<std::int8_t> small(numbers.weights.begin(), numbers.weights.end());
    pack_tiles(small.data(), s.columns(), s.depth, tiles.data());
  } else {
    pack_tiles(numbers.weights.data(), s.columns(), s.depth, tiles.data());
  }
  const std::vector<std::int32_t> zero(numbers.zero.begin(), numbers.zero.end());
  const TileWeights weights{
      tiles.data(), s.depth,          s.columns(), s.int8, s.bias ? numbers.bias.data() : nullptr,
      ones.data(),  column_sum.data()};
  const TileOutput out{s.kind, Activation::relu, half.data(), sum.data(), s.columns()};
  tile_multiply({in.data(), s.depth, ones.data(), zero.data()}, s.rows, weights, s.panel_begin,
                s.panel_end, out, scratch.data(), tiles.data());
  release_tiles();
  check(s, numbers, half.data(), sum.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool amx = !runnable_sets().empty() && has_amx(runnable_sets().back());
  if (amx && size >= 7) run(shape_of(data));
  return 0;
}
