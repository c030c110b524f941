// The GEMMs on vectors: blocks of sums (kernels_products.inc), panel after panel, and what
// becomes of them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_gemm.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include "ops/cpu/kernels_products.inc"

HWY_BEFORE_NAMESPACE();
namespace breakeven::ops::cpu::HWY_NAMESPACE {
namespace {

// Sums become values. What belongs to kLanes columns from `column` on is loaded once, what belongs
// to a row once for all vectors of it.
struct FloatValues {
  struct Row {
    HWY_INLINE Row(const GemmRows& /*in*/, std::size_t /*row*/) {}
  };
  VF bias;
  HWY_INLINE void load(const PanelWeights& weights, std::size_t column) {
    bias = weights.bias == nullptr ? hn::Zero(DF()) : hn::LoadU(DF(), weights.bias + column);
  }
  HWY_INLINE VF operator()(VF sum, const Row& /*row*/) const { return hn::Add(sum, bias); }
};
// The zero point leaves by a fused multiply-add: below 2^24 nothing is rounded before the scales.
struct ScaledValues {
  struct Row {
    VF zero, scale;
    HWY_INLINE Row(const GemmRows& in, std::size_t row)
        : zero(hn::ConvertTo(DF(), hn::Set(DI(), in.row_zero[row]))),
          scale(hn::Set(DF(), in.row_scale[row])) {}
  };
  VF scale, total;
  FloatValues bias;
  HWY_INLINE void load(const PanelWeights& weights, std::size_t column) {
    scale = hn::LoadU(DF(), weights.column_scale + column);
    total = hn::LoadU(DF(), weights.column_sum + column);
    bias.load(weights, column);
  }
  HWY_INLINE VF operator()(VF sum, const Row& row) const {
    const VF exact = hn::NegMulAdd(row.zero, total, hn::ConvertTo(DF(), hn::BitCast(DI(), sum)));
    return hn::MulAdd(exact, hn::Mul(row.scale, scale), bias.bias);
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

// activation(a) * b of the two halves of a panel.
template <class Activated>
struct Gate {
  static constexpr bool kAdds = false;
  HWY_INLINE VF operator()(VF a, VF b) const { return hn::Mul(Activated()(a), b); }
};
template <class Finish>
constexpr bool kGates = false;
template <class Activated>
constexpr bool kGates<Gate<Activated>> = true;

// As finish_block, for gates.
template <class Values, class Finish, bool Half>
HWY_INLINE void finish_gates(const float* HWY_RESTRICT sums, const GemmRows& in,
                             const PanelWeights& weights, std::size_t column, std::size_t first,
                             std::size_t rows, const GemmOutput& out) {
  constexpr std::size_t kGated = kPanel / 2;
  for (std::size_t c = 0; c < kGated; c += kLanes) {
    Values a;
    Values b;
    a.load(weights, column + c);
    b.load(weights, column + kGated + c);
    for (std::size_t r = 0; r < rows; ++r) {
      const typename Values::Row row(in, first + r);
      const float* at = sums + r * kPanel + c;
      const VF result = Finish()(a(hn::Load(DF(), at), row), b(hn::Load(DF(), at + kGated), row));
      const std::size_t to = (first + r) * out.stride + column / 2 + c;
      if constexpr (Half) {
        store_bf16(result, out.half + to);
      } else {
        hn::StoreU(result, DF(), out.full + to);
      }
    }
  }
}

// Half: results go to out.half, else to out.full.
template <class Product, class Values, class Finish, bool Half>
HWY_INLINE void finish_block(const float* HWY_RESTRICT sums, const GemmRows& in,
                             const PanelWeights& weights, std::size_t column, std::size_t first,
                             std::size_t rows, const GemmOutput& out) {
  const DF d;
  const Finish finish;
  for (std::size_t c = 0; c < kPanel; c += kColumns) {
    Values values[kVectors];
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) values[v].load(weights, column + c + v * kLanes);
    for (std::size_t r = 0; r < rows; ++r) {
      const typename Values::Row row(in, first + r);
      const std::size_t to = (first + r) * out.stride + column + c;
      VF results[kVectors];
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kVectors; ++v) {
        results[v] = finish(values[v](hn::Load(d, sums + r * kPanel + c + v * kLanes), row));
      }
      if constexpr (Half) {
        store_halves<Product::kRounds>(results, out.half + to);
      } else {
#pragma GCC unroll 2
        for (std::size_t v = 0; v < kVectors; ++v) {
          float* at = out.full + to + v * kLanes;
          // The next panel's results: no prefetcher of the CPU sees a column of lines coming.
          if constexpr (Finish::kAdds) __builtin_prefetch(at + kPanel, 1, 3);
          hn::StoreU(Finish::kAdds ? hn::Add(results[v], hn::LoadU(d, at)) : results[v], d, at);
        }
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
      bringer.during([&](Ahead& ahead) { multiply(from, stride, at, depth, sums, kPanel, ahead); });
      if constexpr (kColumns < kPanel) {
        Ahead none{weights.panel(panel), 0};
        multiply(from, stride, at + kColumns, depth, sums + kColumns, kPanel, none);
      }
      if constexpr (kGates<Finish>) {
        finish_gates<Values, Finish, Half>(sums, in, weights, panel * kPanel, first, count, out);
      } else {
        finish_block<Product, Values, Finish, Half>(sums, in, weights, panel * kPanel, first, count,
                                                    out);
      }
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
  const auto run_activated = [&](auto activated) {
    using Activated = decltype(activated);
    out.kind == GemmOutput::Kind::gate ? run(Gate<Activated>()) : run(activated);
  };
  switch (out.activation) {
    case Activation::gelu_erf:
      if constexpr (Product::kNumbers == 4) return run_activated(GeluOfBytes());
      return run_activated(Activate<Activation::gelu_erf>());
    case Activation::gelu_tanh:
      return run_activated(Activate<Activation::gelu_tanh>());
    case Activation::relu:
      return run_activated(Activate<Activation::relu>());
    case Activation::tanh:
      return run_activated(Activate<Activation::tanh>());
  }
}

}  // namespace

void fill_gemm_kernels(Kernels& table) {
  table.multiply_f32 = multiply<FloatProduct, FloatValues>;
  table.multiply_s8 = multiply<ByteProduct, ScaledValues>;
  table.multiply_small_s8 = multiply<SmallByteProduct, ScaledValues>;
#if HWY_TARGET != HWY_AVX2
  table.multiply_bf16 = multiply<PairProduct, FloatValues>;
#endif
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
