// The GEMMs against plain loops, for any weights, shape, kind of output and range of panels.
// All values are small integers, so results are exact; every buffer ends at a guard page, because
// sanitizers do not see tile loads. Only what the CPU has runs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "base/check.h"
#include "base/instruction_set.h"
#include "ops/cpu/guarded.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/tile_kernels.h"
#include "ops/cpu/tile_pack.h"

namespace {

using namespace breakeven::ops::cpu;
using breakeven::InstructionSet;
using breakeven::ops::Activation;
using Kind = GemmOutput::Kind;
using breakeven::testing::Guarded;

struct Shape {
  std::size_t rows, panels, depth, panel_begin, panel_end;
  WeightFormat format;
  bool bias, avx512;
  bool tiles;  // bf16 and s8: on tiles, or on vectors
  bool full;   // vectors: all results are fp32
  Kind kind;
  std::uint32_t seed;
  bool int8() const { return format == WeightFormat::s8; }
  bool split() const { return format == WeightFormat::split; }
  std::size_t half_columns() const { return columns() * (split() ? 2 : 1); }
  bool f32() const { return format == WeightFormat::f32; }
  // s8 weights of seven bits, for vectors without VNNI.
  bool small() const { return int8() && !tiles && seed % 2 != 0; }
  int most() const { return small() ? 63 : 127; }
  std::size_t element() const { return panel_weight_bytes(1, 1, format); }
  std::size_t columns() const { return panels * kPanel; }
};

Shape shape_of(const std::uint8_t* data) {
  Shape s{};
  s.rows = data[0] % 100 + std::size_t{1};
  s.panels = data[1] % 5 + std::size_t{1};
  constexpr WeightFormat kFormats[] = {WeightFormat::bf16, WeightFormat::s8, WeightFormat::f32,
                                       WeightFormat::split};
  s.format = kFormats[data[5] % 4];
  s.tiles = s.split() || (!s.f32() && data[5] / 48 % 2 != 0);
  s.depth = (s.tiles ? 64 : 32 / s.element()) * (data[2] % 8 + std::size_t{1});
  s.panel_begin = data[3] % s.panels;
  s.panel_end = s.panel_begin + 1 + data[4] % (s.panels - s.panel_begin);
  s.bias = data[5] / 4 % 2 != 0;
  s.kind = static_cast<Kind>(data[5] / 8 % 3);
  s.avx512 = data[5] / 24 % 2 != 0;
  s.full = !s.tiles && data[5] / 96 % 2 != 0;
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
    fill(in, in.size(), random, s.int8() ? 0 : -4, s.int8() ? 255 : 4);
    fill(weights, weights.size(), random, s.int8() ? -s.most() : -4, s.int8() ? s.most() : 4);
    fill(bias, bias.size(), random, s.bias ? -9 : 0, s.bias ? 9 : 0);
    fill(zero, zero.size(), random, 0, s.int8() ? 255 : 0);
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

void check(const Shape& s, const Numbers& numbers, const Bf16* half, const float* full) {
  for (std::size_t r = 0; r < s.rows; ++r) {
    for (std::size_t c = 0; c < s.columns(); ++c) {
      const std::size_t at = r * s.columns() + c;
      const bool ours = c / kPanel >= s.panel_begin && c / kPanel < s.panel_end;
      const float value = ours ? numbers.result(s, r, c) : 0;
      const float held = s.kind == Kind::add        ? kBefore + value
                         : s.kind == Kind::activate ? std::max(value, 0.0F)
                                                    : value;
      const bool stored_full = s.f32() || s.full || (s.split() && s.kind == Kind::store);
      const bool to_full = ours && (stored_full || s.kind == Kind::add);
      const bool to_half = ours && !to_full;
      BREAKEVEN_CHECK(full[at] == (to_full ? held : kBefore) &&
                          half[r * s.half_columns() + c] == to_bf16(to_half ? held : kBefore),
                      "rows={} panels={} depth={} format={} kind={} at {},{}: {} and {:#x}", s.rows,
                      s.panels, s.depth, static_cast<int>(s.format), static_cast<int>(s.kind), r, c,
                      full[at], half[r * s.half_columns() + c]);
    }
  }
}

// Inputs in the format of the weights.
void write_rows(const Shape& s, const Numbers& numbers, std::byte* to) {
  for (std::size_t i = 0; i < numbers.in.size(); ++i) {
    if (s.int8()) {
      reinterpret_cast<std::uint8_t*>(to)[i] = static_cast<std::uint8_t>(numbers.in[i]);
    } else if (s.f32()) {
      reinterpret_cast<float*>(to)[i] = numbers.in[i];
    } else if (s.split()) {
      // Small integers are a bf16 and nothing.
      Bf16* high = reinterpret_cast<Bf16*>(to) + i / s.depth * 2 * s.depth + i % s.depth;
      high[0] = to_bf16(numbers.in[i]);
      high[s.depth] = 0;
    } else {
      reinterpret_cast<Bf16*>(to)[i] = to_bf16(numbers.in[i]);
    }
  }
}

void write_weights(const Shape& s, const Numbers& numbers, std::byte* to) {
  if (s.int8()) {
    const std::vector<std::int8_t> small(numbers.weights.begin(), numbers.weights.end());
    if (s.tiles) return pack_tiles(small.data(), s.columns(), s.depth, to);
    pack_panels(small.data(), s.columns(), s.depth, s.format, to);
  } else if (s.f32()) {
    pack_panels(numbers.weights.data(), s.columns(), s.depth, s.format, to);
  } else if (!s.tiles) {
    std::vector<Bf16> half(numbers.weights.size());
    std::transform(numbers.weights.begin(), numbers.weights.end(), half.begin(), to_bf16);
    pack_panels(half.data(), s.columns(), s.depth, s.format, to);
  } else if (s.split()) {
    pack_split_tiles(numbers.weights.data(), s.columns(), s.depth, to);
  } else {
    pack_tiles(numbers.weights.data(), s.columns(), s.depth, to);
  }
}

MultiplyPanels* kernel_of(const Shape& s) {
  if (s.tiles) return amx_tiles().multiply;
  const Kernels& kernels = kernels_for(s.avx512);
  return s.f32()     ? kernels.multiply_f32
         : s.small() ? kernels.multiply_small_s8
         : s.int8()  ? kernels.multiply_s8
                     : kernels.multiply_bf16;
}

void run(const Shape& s) {
  const Numbers numbers(s);
  // Tiles are loaded whole, so rows are read up to the next multiple of 32.
  const std::size_t taken =
      s.tiles ? (s.rows + kRowsAtOnce - 1) / kRowsAtOnce * kRowsAtOnce : s.rows;
  Guarded<std::byte> in(taken * s.depth * s.element());
  Guarded<std::byte> panels(panel_weight_bytes(s.columns(), s.depth, s.format));
  Guarded<std::byte> scratch(kGemmScratchBytes);
  Guarded<Bf16> half(s.rows * s.half_columns());
  Guarded<float> full(s.rows * s.columns());
  std::vector<float> column_sum(s.columns(), 0.0F);
  const std::vector<float> ones(std::max(s.columns(), s.rows), 1.0F);
  std::fill_n(half.data(), s.rows * s.half_columns(), to_bf16(kBefore));
  std::fill_n(full.data(), s.rows * s.columns(), kBefore);
  for (std::size_t i = 0; i < numbers.weights.size(); ++i) {
    column_sum[i / s.depth] += numbers.weights[i];
  }
  write_rows(s, numbers, in.data());
  write_weights(s, numbers, panels.data());
  const std::vector<std::int32_t> zero(numbers.zero.begin(), numbers.zero.end());
  const PanelWeights weights{panels.data(),
                             s.depth,
                             s.columns(),
                             s.format,
                             s.bias ? numbers.bias.data() : nullptr,
                             ones.data(),
                             column_sum.data()};
  const GemmOutput out{s.kind, Activation::relu, s.full ? nullptr : half.data(), full.data(),
                       s.columns()};
  kernel_of(s)({in.data(), s.depth, ones.data(), zero.data()}, s.rows, weights, s.panel_begin,
               s.panel_end, out, scratch.data(), panels.data());
  if (s.tiles) amx_tiles().release();
  check(s, numbers, half.data(), full.data());
}

bool runs_here(const Shape& s) {
  static const std::vector<InstructionSet> sets =
      breakeven::runnable_sets(breakeven::usable_cpu_flags());
  const auto has = [](InstructionSet set) {
    return std::find(sets.begin(), sets.end(), set) != sets.end();
  };
  if (s.tiles) return has(InstructionSet::avx512_core_amx);
  if (s.f32() || s.small())
    return has(s.avx512 ? InstructionSet::avx512_core : InstructionSet::avx2);
  if (s.int8()) return has(s.avx512 ? InstructionSet::avx512_core_vnni : InstructionSet::avx2_vnni);
  return s.avx512 && has(InstructionSet::avx512_core_bf16);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 7) return 0;
  const Shape shape = shape_of(data);
  if (runs_here(shape)) run(shape);
  return 0;
}
