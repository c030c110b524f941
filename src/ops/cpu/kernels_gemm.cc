// The own fp32 GEMM: a panel of 32 columns of weights against 14 rows at a time (AVX2: 16 columns
// against 6), so that all sums of a block stay in registers over the whole depth. A core whose
// other hyperthread works has about two instructions a cycle left, and then their number decides: a
// multiply-add that broadcasts its factor from memory itself is one, as long as the address is a
// pointer and a constant. docs/decisions/0014 has the figures.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_gemm.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include "ops/cpu/kernels_math.inc"

HWY_BEFORE_NAMESPACE();
namespace breakeven::ops::cpu::HWY_NAMESPACE {
namespace {

constexpr bool kWide = HWY_TARGET != HWY_AVX2;
constexpr std::size_t kLanes = kWide ? 16 : 8;
constexpr std::size_t kVectors = 2;
constexpr std::size_t kColumns = kVectors * kLanes;  // that a block's sums cover
constexpr std::size_t kBlockRows = kWide ? 14 : 6;   // 28 of 32 registers, or 12 of 16
constexpr std::size_t kUnroll = 8;                   // steps of depth in a turn of the loop
constexpr std::size_t kLine = 64;
// Rows with a pointer of their own; the others lie kFar rows behind one of those. There are not
// enough integer registers for all.
constexpr std::size_t kPointers = 10;
constexpr std::size_t kFar = 8;

// Lines to bring to L2: two in each turn of the loop, `step` bytes further each time.
struct Ahead {
  const std::byte* at;
  std::size_t step;
};

// sum += factor * line
HWY_INLINE void multiply_add(VF& sum, const float* factor, VF line) {
#if HWY_TARGET == HWY_AVX2
  sum = hn::MulAdd(hn::Set(DF(), *factor), line, sum);
#else
  // The compiler would broadcast once into a register, for both vectors of a row.
  __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(line.raw), "m"(*factor));
#endif
}

// sums[row][column] for Rows rows and kColumns columns. Loops over rows and vectors must vanish,
// else sums would be memory: hence the pragmas.
template <std::size_t Rows>
HWY_NOINLINE void multiply_block(const float* HWY_RESTRICT rows, std::size_t stride,
                                 const float* HWY_RESTRICT panel, std::size_t depth,
                                 float* HWY_RESTRICT sums, Ahead& ahead) {
  const DF d;
  constexpr std::size_t kNear = Rows < kPointers ? Rows : kPointers;
  VF sum[Rows][kVectors];
  const float* at[kNear];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kNear; ++r) {
    at[r] = rows + r * stride;
    __asm__("" : "+r"(at[r]));  // a register: not the row before and a stride
  }
  std::size_t far = kFar * stride;
  __asm__("" : "+r"(far));
  const float* const end = panel + depth * kPanel;
  const std::byte* bring = ahead.at;
  const std::size_t step = ahead.step;
  do {
    __builtin_prefetch(bring, 0, 2);
    __builtin_prefetch(bring + kLine, 0, 2);
    bring += step;
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kUnroll; ++j) {
      VF line[kVectors];
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kVectors; ++v) {
        line[v] = hn::Load(d, panel + j * kPanel + v * kLanes);
      }
#pragma GCC unroll 16
      for (std::size_t r = 0; r < kNear; ++r) {
#pragma GCC unroll 2
        for (std::size_t v = 0; v < kVectors; ++v) multiply_add(sum[r][v], at[r] + j, line[v]);
      }
#pragma GCC unroll 16
      for (std::size_t r = kNear; r < Rows; ++r) {
        const VF factor = hn::Set(d, (at[r - kFar] + far)[j]);
#pragma GCC unroll 2
        for (std::size_t v = 0; v < kVectors; ++v) {
          sum[r][v] = hn::MulAdd(factor, line[v], sum[r][v]);
        }
      }
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kNear; ++r) at[r] += kUnroll;
    panel += kUnroll * kPanel;
  } while (panel != end);
  ahead.at = bring;
#pragma GCC unroll 16
  for (std::size_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) {
      hn::Store(sum[r][v], d, sums + r * kPanel + v * kLanes);
    }
  }
}

using Block = void (*)(const float*, std::size_t, const float*, std::size_t, float*, Ahead&);
constexpr Block kBlocks[] = {
    multiply_block<1>,  multiply_block<2>,  multiply_block<3>,  multiply_block<4>,
    multiply_block<5>,  multiply_block<6>,
#if HWY_TARGET != HWY_AVX2
    multiply_block<7>,  multiply_block<8>,  multiply_block<9>,  multiply_block<10>,
    multiply_block<11>, multiply_block<12>, multiply_block<13>, multiply_block<14>,
#endif
};
static_assert(std::size(kBlocks) == kBlockRows);

// Sums of a block become results. Each is a template argument of the loop over rows, so that no
// branch is left inside.
struct Store {
  static constexpr bool kAdds = false;
  HWY_INLINE VF operator()(VF x) const { return x; }
};
struct Add {
  static constexpr bool kAdds = true;
  HWY_INLINE VF operator()(VF x) const { return x; }
};
template <Activation Which>
struct Activate {
  static constexpr bool kAdds = false;
  HWY_INLINE VF operator()(VF x) const { return activate(Which, x); }
};

template <class Finish>
HWY_INLINE void finish_block(const float* HWY_RESTRICT sums, const float* HWY_RESTRICT bias,
                             std::size_t rows, float* HWY_RESTRICT out, std::size_t stride) {
  const DF d;
  const Finish finish;
  for (std::size_t c = 0; c < kPanel; c += kLanes) {
    const VF shift = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + c);
    for (std::size_t r = 0; r < rows; ++r) {
      float* to = out + r * stride + c;
      const VF value = finish(hn::Add(hn::Load(d, sums + r * kPanel + c), shift));
      hn::StoreU(Finish::kAdds ? hn::Add(value, hn::LoadU(d, to)) : value, d, to);
    }
  }
}

// Brings a panel to L2 while the one before is multiplied.
class Bringer {
 public:
  Bringer(const std::byte* panel, std::size_t bytes, std::size_t blocks, std::size_t depth)
      : at_(panel), end_(panel + bytes) {
    // What the blocks' turns leave over, in equal parts before each block.
    const std::size_t turned = blocks * (depth / kUnroll) * 2 * kLine;
    before_ = bytes > turned ? (bytes - turned + blocks - 1) / blocks : 0;
  }
  template <class Multiply>
  HWY_INLINE void during(const Multiply& multiply_one) {
    const std::byte* stop = at_ + before_ < end_ ? at_ + before_ : end_;
    for (; at_ < stop; at_ += kLine) __builtin_prefetch(at_, 0, 2);
    Ahead ahead{at_, at_ < end_ ? 2 * kLine : 0};
    multiply_one(ahead);
    at_ = ahead.at;
  }

 private:
  const std::byte *at_, *end_;
  std::size_t before_;
};

template <class Finish>
void multiply_all(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                  std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                  float* sums, const std::byte* next) {
  // Blocks of nearly equal rows: a short one at the end would wait for its own sums.
  const std::size_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const std::size_t depth = weights.depth;
  const auto* data = static_cast<const float*>(in.data);
  for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
    const auto* at = reinterpret_cast<const float*>(weights.panel(panel));
    const std::size_t column = panel * kPanel;
    const float* bias = weights.bias == nullptr ? nullptr : weights.bias + column;
    const std::byte* coming = panel + 1 == panel_end ? next : weights.panel(panel + 1);
    Bringer bringer(coming == nullptr ? weights.panel(panel) : coming,
                    coming == nullptr ? 0 : weights.panel_bytes(), blocks, depth);
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t first = block * rows / blocks;
      const std::size_t count = (block + 1) * rows / blocks - first;
      const Block multiply = kBlocks[count - 1];
      const float* from = data + first * in.stride;
      bringer.during([&](Ahead& ahead) { multiply(from, in.stride, at, depth, sums, ahead); });
      if constexpr (kColumns < kPanel) {
        Ahead none{weights.panel(panel), 0};
        multiply(from, in.stride, at + kColumns, depth, sums + kColumns, none);
      }
      finish_block<Finish>(sums, bias, count, out.full + first * out.stride + column, out.stride);
    }
  }
}

}  // namespace

void multiply_panels(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                     std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                     std::byte* scratch, const std::byte* next) {
  auto* sums = reinterpret_cast<float*>(scratch);
  const auto run = [&](auto finish) {
    multiply_all<decltype(finish)>(in, rows, weights, panel_begin, panel_end, out, sums, next);
  };
  if (out.kind == GemmOutput::Kind::store) return run(Store());
  if (out.kind == GemmOutput::Kind::add) return run(Add());
  switch (out.activation) {
    case Activation::gelu_erf:
      return run(Activate<Activation::gelu_erf>());
    case Activation::gelu_tanh:
      return run(Activate<Activation::gelu_tanh>());
    case Activation::relu:
      return run(Activate<Activation::relu>());
    case Activation::tanh:
      return run(Activate<Activation::tanh>());
  }
}

void fill_gemm_kernels(Kernels& table) {
  table.multiply_panels = multiply_panels;
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
