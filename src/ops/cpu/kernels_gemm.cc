// The GEMMs on vectors: a panel of 32 columns of weights against 14 rows at a time (AVX2: 16
// columns against 6), so that all sums of a block stay in registers over the whole depth. Depth
// comes in dwords, and a product of dwords is that of two floats, of two pairs of bf16 or of two
// fours of bytes. A core whose other hyperthread works has about two instructions a cycle left, and
// then their number decides: a multiply-add that broadcasts its factor from memory itself is one,
// as long as the address is a pointer and a constant. docs/cpu.md has the figures.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_gemm.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include <utility>

#include "ops/cpu/kernels_math.inc"

HWY_BEFORE_NAMESPACE();
namespace breakeven::ops::cpu::HWY_NAMESPACE {
namespace {

constexpr bool kWide = HWY_TARGET != HWY_AVX2;
constexpr std::size_t kLanes = kWide ? 16 : 8;
constexpr std::size_t kVectors = 2;
constexpr std::size_t kColumns = kVectors * kLanes;  // that a block's sums cover
constexpr std::size_t kMostRows = kWide ? 14 : 6;    // 28 of 32 registers, or 12 of 16
constexpr std::size_t kUnroll = 8;                   // steps of depth in a turn of the loop
constexpr std::size_t kLine = 64;
// Rows with a pointer of their own; the others lie kFar rows behind one of those. There are not
// enough integer registers for all.
constexpr std::size_t kPointers = 10;
constexpr std::size_t kFar = 8;

// A step of depth of one row or column, whatever its numbers are.
using Dword = float __attribute__((may_alias));

// Lines to bring to L2: two in each turn of the loop, `step` bytes further each time.
struct Ahead {
  const std::byte* at;
  std::size_t step;
};

// Products: sums[v] += *row * lines[v], where `row` is a step of one row and a line one of kLanes
// columns. kBlockRows leave registers for what a product needs besides. Registers of sums are
// floats to the compiler, also where they hold integers. Loops over vectors must vanish, else sums
// would be memory: hence the pragmas.
struct FloatProduct {
  static constexpr std::size_t kNumbers = 1;  // in a dword
  static constexpr std::size_t kBlockRows = kMostRows;
  template <bool IsNear>
  static HWY_INLINE void multiply(VF (&sums)[kVectors], const Dword* row,
                                  const VF (&lines)[kVectors]) {
#if HWY_TARGET != HWY_AVX2
    if constexpr (IsNear) {
      // The compiler would broadcast once into a register, for both vectors of a row.
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kVectors; ++v) {
        __asm__("vfmadd231ps %2%{1to16%}, %1, %0"
                : "+v"(sums[v].raw)
                : "v"(lines[v].raw), "m"(*row));
      }
      return;
    }
#endif
    const VF factor = hn::Set(DF(), *row);
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) sums[v] = hn::MulAdd(factor, lines[v], sums[v]);
  }
};

#if HWY_TARGET != HWY_AVX2
// Needs AVX512_BF16.
struct PairProduct {
  static constexpr std::size_t kNumbers = 2;
  static constexpr std::size_t kBlockRows = kMostRows;
  template <bool IsNear>
  static HWY_INLINE void multiply(VF (&sums)[kVectors], const Dword* row,
                                  const VF (&lines)[kVectors]) {
    const VF pair = hn::Set(DF(), *row);
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) {
      __asm__("vdpbf16ps %2, %1, %0" : "+v"(sums[v].raw) : "v"(pair.raw), "v"(lines[v].raw));
    }
  }
};
#endif

// u8 by s8. Needs AVX512_VNNI or AVX_VNNI.
struct ByteProduct {
  static constexpr std::size_t kNumbers = 4;
  static constexpr std::size_t kBlockRows = kMostRows;
  template <bool IsNear>
  static HWY_INLINE void multiply(VF (&sums)[kVectors], const Dword* row,
                                  const VF (&lines)[kVectors]) {
    const VF four = hn::Set(DF(), *row);
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) {
#if HWY_TARGET == HWY_AVX2
      __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums[v].raw) : "x"(four.raw), "x"(lines[v].raw));
#else
      __asm__("vpdpbusd %2, %1, %0" : "+v"(sums[v].raw) : "v"(four.raw), "v"(lines[v].raw));
#endif
    }
  }
};

// u8 by s8 without VNNI: two products are added in 16 bits, so weights have seven bits
// (Formats::weight_limit).
struct SmallByteProduct {
  static constexpr std::size_t kNumbers = 4;
  static constexpr std::size_t kBlockRows = kWide ? 12 : 4;
  template <bool IsNear>
  static HWY_INLINE void multiply(VF (&sums)[kVectors], const Dword* row,
                                  const VF (&lines)[kVectors]) {
    const DI d;
    const VI four = hn::BitCast(d, hn::Set(DF(), *row));
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) {
      const VI line = hn::BitCast(d, lines[v]);
#if HWY_TARGET == HWY_AVX2
      const VI product{
          _mm256_madd_epi16(_mm256_maddubs_epi16(four.raw, line.raw), _mm256_set1_epi16(1))};
#else
      const VI product{
          _mm512_madd_epi16(_mm512_maddubs_epi16(four.raw, line.raw), _mm512_set1_epi16(1))};
#endif
      sums[v] = hn::BitCast(DF(), hn::Add(hn::BitCast(d, sums[v]), product));
    }
  }
};

// sums[row][column] for Rows rows and kColumns columns; `stride` and `depth` in dwords. Loops over
// rows must vanish, too.
template <class Product, std::size_t Rows>
HWY_NOINLINE void multiply_block(const Dword* HWY_RESTRICT rows, std::size_t stride,
                                 const float* HWY_RESTRICT panel, std::size_t depth,
                                 float* HWY_RESTRICT sums, Ahead& ahead) {
  const DF d;
  constexpr std::size_t kNear = Rows < kPointers ? Rows : kPointers;
  VF sum[Rows][kVectors];
  const Dword* at[kNear];
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
        Product::template multiply<true>(sum[r], at[r] + j, line);
      }
#pragma GCC unroll 16
      for (std::size_t r = kNear; r < Rows; ++r) {
        Product::template multiply<false>(sum[r], at[r - kFar] + far + j, line);
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

using Block = void (*)(const Dword*, std::size_t, const float*, std::size_t, float*, Ahead&);
template <class Product, class Rows>
struct Blocks;
template <class Product, std::size_t... Index>
struct Blocks<Product, std::index_sequence<Index...>> {
  static constexpr Block kTable[] = {multiply_block<Product, Index + 1>...};
};
template <class Product>
using AllBlocks = Blocks<Product, std::make_index_sequence<Product::kBlockRows>>;

// Sums become values: what belongs to kLanes columns from `column` on is loaded once.
struct FloatValues {
  VF bias;
  HWY_INLINE FloatValues(const PanelWeights& weights, std::size_t column)
      : bias(weights.bias == nullptr ? hn::Zero(DF()) : hn::LoadU(DF(), weights.bias + column)) {}
  HWY_INLINE VF operator()(VF sum, const GemmRows& /*in*/, std::size_t /*row*/) const {
    return hn::Add(sum, bias);
  }
};
// The zero point leaves by a fused multiply-add: below 2^24 nothing is rounded before the scales.
struct ScaledValues {
  VF scale, total;
  FloatValues bias;
  HWY_INLINE ScaledValues(const PanelWeights& weights, std::size_t column)
      : scale(hn::LoadU(DF(), weights.column_scale + column)),
        total(hn::LoadU(DF(), weights.column_sum + column)),
        bias(weights, column) {}
  HWY_INLINE VF operator()(VF sum, const GemmRows& in, std::size_t row) const {
    const DF d;
    const VF zero = hn::ConvertTo(d, hn::Set(DI(), in.row_zero[row]));
    const VF exact = hn::NegMulAdd(zero, total, hn::ConvertTo(d, hn::BitCast(DI(), sum)));
    return hn::MulAdd(exact, hn::Mul(hn::Set(d, in.row_scale[row]), scale), bias.bias);
  }
};

// Values become results. Each is a template argument of the loop over rows, so that no branch is
// left inside.
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
struct GeluOfBytes {
  static constexpr bool kAdds = false;
  HWY_INLINE VF operator()(VF x) const { return gelu_erf_short(x); }
};

// Half: results go to out.half, else to out.full.
template <class Values, class Finish, bool Half>
HWY_INLINE void finish_block(const float* HWY_RESTRICT sums, const GemmRows& in,
                             const PanelWeights& weights, std::size_t column, std::size_t first,
                             std::size_t rows, const GemmOutput& out) {
  const DF d;
  const Finish finish;
  for (std::size_t c = 0; c < kPanel; c += kLanes) {
    const Values values(weights, column + c);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t to = (first + r) * out.stride + column + c;
      const VF value = finish(values(hn::Load(d, sums + r * kPanel + c), in, first + r));
      if constexpr (Half) {
        store_bf16(value, out.half + to);
      } else {
        hn::StoreU(Finish::kAdds ? hn::Add(value, hn::LoadU(d, out.full + to)) : value, d,
                   out.full + to);
      }
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

template <class Product, class Values, class Finish, bool Half>
void multiply_all(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                  std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                  float* sums, const std::byte* next) {
  // Blocks of nearly equal rows: a short one at the end would wait for its own sums.
  const std::size_t blocks = (rows + Product::kBlockRows - 1) / Product::kBlockRows;
  const std::size_t depth = weights.depth / Product::kNumbers;
  const std::size_t stride = in.stride / Product::kNumbers;
  const auto* data = static_cast<const Dword*>(in.data);
  for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
    const auto* at = reinterpret_cast<const float*>(weights.panel(panel));
    const std::byte* coming = panel + 1 == panel_end ? next : weights.panel(panel + 1);
    Bringer bringer(coming == nullptr ? weights.panel(panel) : coming,
                    coming == nullptr ? 0 : weights.panel_bytes(), blocks, depth);
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t first = block * rows / blocks;
      const std::size_t count = (block + 1) * rows / blocks - first;
      const Block multiply = AllBlocks<Product>::kTable[count - 1];
      const Dword* from = data + first * stride;
      bringer.during([&](Ahead& ahead) { multiply(from, stride, at, depth, sums, ahead); });
      if constexpr (kColumns < kPanel) {
        Ahead none{weights.panel(panel), 0};
        multiply(from, stride, at + kColumns, depth, sums + kColumns, none);
      }
      finish_block<Values, Finish, Half>(sums, in, weights, panel * kPanel, first, count, out);
    }
  }
}

template <class Product, class Values>
void multiply(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
              std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
              std::byte* scratch, const std::byte* next) {
  auto* sums = reinterpret_cast<float*>(scratch);
  const auto run = [&](auto finish) {
    using Finish = decltype(finish);
    if constexpr (Product::kNumbers > 1 && !Finish::kAdds) {
      if (out.half != nullptr) {
        return multiply_all<Product, Values, Finish, true>(in, rows, weights, panel_begin,
                                                           panel_end, out, sums, next);
      }
    }
    multiply_all<Product, Values, Finish, false>(in, rows, weights, panel_begin, panel_end, out,
                                                 sums, next);
  };
  if (out.kind == GemmOutput::Kind::store) return run(Store());
  if (out.kind == GemmOutput::Kind::add) return run(Add());
  switch (out.activation) {
    case Activation::gelu_erf:
      if constexpr (Product::kNumbers == 4) return run(GeluOfBytes());
      return run(Activate<Activation::gelu_erf>());
    case Activation::gelu_tanh:
      return run(Activate<Activation::gelu_tanh>());
    case Activation::relu:
      return run(Activate<Activation::relu>());
    case Activation::tanh:
      return run(Activate<Activation::tanh>());
  }
}

}  // namespace

void multiply_f32(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                  std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                  std::byte* scratch, const std::byte* next) {
  multiply<FloatProduct, FloatValues>(in, rows, weights, panel_begin, panel_end, out, scratch,
                                      next);
}

void fill_gemm_kernels(Kernels& table) {
  table.multiply_f32 = multiply_f32;
  table.multiply_s8 = multiply<ByteProduct, ScaledValues>;
  table.multiply_small_s8 = multiply<SmallByteProduct, ScaledValues>;
#if HWY_TARGET != HWY_AVX2
  table.multiply_bf16 = multiply<PairProduct, FloatValues>;
#endif
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
