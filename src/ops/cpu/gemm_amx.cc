#include "ops/cpu/gemm_amx.h"

#include <immintrin.h>

// Everything below is compiled for AMX; nothing of the standard library may be instantiated here,
// because a copy of it with these instructions could be the one that the linker keeps.
#ifdef __clang__
#pragma clang attribute push(                                                                     \
    __attribute__((target("avx2,fma,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile," \
                          "amx-bf16,amx-int8,prfchw"))),                                          \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,fma,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16,amx-int8,prfchw")
#endif

namespace breakeven::ops::cpu {
namespace {

#include "ops/cpu/tiles.inc"

constexpr std::size_t kBlockFloats = kPanel * kRowsAtOnce;
constexpr std::size_t kStepBytes = 2 * kTileBytes;  // weights of one panel and one step of depth
constexpr std::size_t kLine = 64;

// Rows of a finished block that are worked on in one step of the next. While tiles are multiplied
// one of the two 512-bit ports is theirs, so vectors run at half their speed: more of an expensive
// epilogue inside a step makes the tiles wait, and what is left at the end of a block runs at full
// speed. Measured: 12 % (bf16) to 40 % (int8) for GELU against an even share.
constexpr std::size_t kLightRows = 4;
// Rows whose output lines are fetched in one step, for a depth of 768 in bytes all of them.
constexpr std::size_t kBringRows = 3;

inline __m512 set(float value) {
  return _mm512_set1_ps(value);
}

// 2^x for x <= 0 to 1e-7.
inline __attribute__((always_inline)) __m512 exp2(__m512 x) {
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, whole);
  __m512 p = set(0.0013276472454890609F);
  p = _mm512_fmadd_ps(p, r, set(0.009675540961325169F));
  p = _mm512_fmadd_ps(p, r, set(0.05550713092088699F));
  p = _mm512_fmadd_ps(p, r, set(0.24022120237350464F));
  p = _mm512_fmadd_ps(p, r, set(0.6931469440460205F));
  p = _mm512_fmadd_ps(p, r, set(1.0000001192092896F));
  return _mm512_scalef_ps(p, whole);
}

// x Phi(x) = max(x, 0) - |x| 2^p(|x|), as kernels_math.inc has it: within 7e-7.
struct GeluErf {
  static constexpr bool kHeavy = true;
  inline __attribute__((always_inline)) __m512 operator()(__m512 x) const {
    const __m512 magnitude = _mm512_abs_ps(x);
    const __m512 a = _mm512_min_ps(magnitude, set(5.5F));
    __m512 p = set(-0.0004769540100824088F);
    p = _mm512_fmadd_ps(p, a, set(0.00711315032094717F));
    p = _mm512_fmadd_ps(p, a, set(-0.051909055560827255F));
    p = _mm512_fmadd_ps(p, a, set(-0.4598880410194397F));
    p = _mm512_fmadd_ps(p, a, set(-1.150846242904663F));
    p = _mm512_fmadd_ps(p, a, set(-1.0000265836715698F));
    return _mm512_fnmadd_ps(magnitude, exp2(p), _mm512_max_ps(x, _mm512_setzero_ps()));
  }
};

// The same within 5e-5 for two thirds of the work: for results that become 8 bits of their row's
// range next. Phi(a) - 1/2 is odd: a polynomial of a^2 times a, exactly 1/2 at 4.4.
struct GeluErfShort {
  static constexpr bool kHeavy = true;
  inline __attribute__((always_inline)) __m512 operator()(__m512 x) const {
    const __m512 above = _mm512_max_ps(x, set(-4.4F));
    const __m512 a = _mm512_min_ps(above, set(4.4F));
    const __m512 square = _mm512_mul_ps(a, a);
    __m512 p = set(3.56936966e-11F);
    p = _mm512_fmadd_ps(p, square, set(-3.75399549e-09F));
    p = _mm512_fmadd_ps(p, square, set(1.74082717e-07F));
    p = _mm512_fmadd_ps(p, square, set(-4.72482707e-06F));
    p = _mm512_fmadd_ps(p, square, set(8.42925226e-05F));
    p = _mm512_fmadd_ps(p, square, set(-0.00105498899F));
    p = _mm512_fmadd_ps(p, square, set(0.00964301377F));
    p = _mm512_fmadd_ps(p, square, set(-0.0660764009F));
    p = _mm512_fmadd_ps(p, square, set(0.398761587F));
    return _mm512_mul_ps(above, _mm512_fmadd_ps(a, p, set(0.5F)));
  }
};

struct Tanh {
  static constexpr bool kHeavy = true;
  inline __attribute__((always_inline)) __m512 operator()(__m512 x) const {
    const __m512 a = _mm512_min_ps(_mm512_abs_ps(x), set(10.0F));
    const __m512 e = exp2(_mm512_mul_ps(a, set(-2.885390081777927F)));  // exp(-2a)
    const __m512 t = _mm512_div_ps(_mm512_sub_ps(set(1.0F), e), _mm512_add_ps(set(1.0F), e));
    return _mm512_or_ps(t, _mm512_and_ps(x, set(-0.0F)));
  }
};

struct GeluTanh {
  static constexpr bool kHeavy = true;
  inline __attribute__((always_inline)) __m512 operator()(__m512 x) const {
    const __m512 square = _mm512_mul_ps(x, x);
    const __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(square, x), set(0.044715F), x);
    const __m512 t = Tanh()(_mm512_mul_ps(cubic, set(0.7978845608028654F)));
    const __m512 half = _mm512_mul_ps(x, set(0.5F));
    return _mm512_fmadd_ps(half, t, half);
  }
};

struct Relu {
  static constexpr bool kHeavy = false;
  inline __attribute__((always_inline)) __m512 operator()(__m512 x) const {
    return _mm512_max_ps(x, _mm512_setzero_ps());
  }
};

struct Same {
  static constexpr bool kHeavy = false;
  inline __attribute__((always_inline)) __m512 operator()(__m512 x) const { return x; }
};

inline __attribute__((always_inline)) __m512 load_or_zero(const float* from, std::size_t first) {
  return from == nullptr ? _mm512_setzero_ps() : _mm512_loadu_ps(from + first);
}

// Sums become values. What belongs to a block's columns is loaded once, and what belongs to a row
// once for the row: tile loads need the load ports.
struct Bf16Product {
  static constexpr std::size_t kDepth = 32;  // of one step
  static constexpr std::size_t kElement = 2;
  static constexpr std::size_t kHeavyRows = 2;
  using Gelu = GeluErf;
  const float* bias;
  Bf16Product(const GemmRows& /*in*/, const PanelWeights& weights) : bias(weights.bias) {}

  template <int Sum, int First, int Second>
  static inline __attribute__((always_inline)) void multiply() {
    multiply_bf16<Sum, First, Second>();
  }
  struct Columns {
    __m512 bias[2];
  };
  inline __attribute__((always_inline)) Columns columns(std::size_t first) const {
    return {{load_or_zero(bias, first), load_or_zero(bias, first + kTile)}};
  }
  struct Row {};
  inline __attribute__((always_inline)) Row row(std::size_t /*row*/) const { return {}; }
  template <int Half>
  inline __attribute__((always_inline)) __m512 value(const float* sums, const Row& /*row*/,
                                                     const Columns& columns) const {
    return _mm512_add_ps(_mm512_load_ps(sums + Half * kTile), columns.bias[Half]);
  }
};

struct Int8Product {
  static constexpr std::size_t kDepth = 64;
  static constexpr std::size_t kElement = 1;
  static constexpr std::size_t kHeavyRows = 2;
  using Gelu = GeluErfShort;
  const float* bias;
  const float* column_scale;
  const float* column_sum;
  const float* row_scale;
  const std::int32_t* row_zero;
  Int8Product(const GemmRows& in, const PanelWeights& weights)
      : bias(weights.bias),
        column_scale(weights.column_scale),
        column_sum(weights.column_sum),
        row_scale(in.row_scale),
        row_zero(in.row_zero) {}

  template <int Sum, int First, int Second>
  static inline __attribute__((always_inline)) void multiply() {
    multiply_int8<Sum, First, Second>();
  }
  struct Columns {
    __m512 bias[2], scale[2], sum[2];
  };
  inline __attribute__((always_inline)) Columns columns(std::size_t first) const {
    return {{load_or_zero(bias, first), load_or_zero(bias, first + kTile)},
            {_mm512_loadu_ps(column_scale + first), _mm512_loadu_ps(column_scale + first + kTile)},
            {_mm512_loadu_ps(column_sum + first), _mm512_loadu_ps(column_sum + first + kTile)}};
  }
  struct Row {
    __m512 scale, zero;
  };
  inline __attribute__((always_inline)) Row row(std::size_t row) const {
    return {set(row_scale[row]), _mm512_cvtepi32_ps(_mm512_set1_epi32(row_zero[row]))};
  }
  // The zero point leaves by a fused multiply-add: below 2^24 nothing is rounded before the scales.
  template <int Half>
  inline __attribute__((always_inline)) __m512 value(const float* sums, const Row& row,
                                                     const Columns& columns) const {
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + Half * kTile));
    const __m512 exact = _mm512_fnmadd_ps(row.zero, columns.sum[Half], sum);
    return _mm512_fmadd_ps(exact, _mm512_mul_ps(row.scale, columns.scale[Half]),
                           columns.bias[Half]);
  }
};

// What becomes of two vectors of one row's values.
// kHeavy: an activation is most of the work.
template <class Function>
struct HalfSink {
  static constexpr bool kHeavy = Function::kHeavy;
  Bf16* out;
  std::size_t stride;
  Function function;
  explicit HalfSink(const GemmOutput& to) : out(to.half), stride(to.stride) {}
  inline __attribute__((always_inline)) void bring(std::size_t row, std::size_t column) const {
    __builtin_prefetch(out + row * stride + column, 1);
  }
  inline __attribute__((always_inline)) void put(__m512 low, __m512 high, std::size_t row,
                                                 std::size_t column) const {
    const __m512bh both = _mm512_cvtne2ps_pbh(function(high), function(low));
    _mm512_storeu_si512(out + row * stride + column, reinterpret_cast<const __m512i&>(both));
  }
};

struct AddSink {
  static constexpr bool kHeavy = false;
  float* out;
  std::size_t stride;
  explicit AddSink(const GemmOutput& to) : out(to.full), stride(to.stride) {}
  inline __attribute__((always_inline)) void bring(std::size_t row, std::size_t column) const {
    __builtin_prefetch(out + row * stride + column, 1);
    __builtin_prefetch(out + row * stride + column + kTile, 1);
  }
  inline __attribute__((always_inline)) void put(__m512 low, __m512 high, std::size_t row,
                                                 std::size_t column) const {
    float* to = out + row * stride + column;
    _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), low));
    _mm512_storeu_ps(to + 16, _mm512_add_ps(_mm512_loadu_ps(to + 16), high));
  }
};

// A 32 x 32 block whose sums lie in memory and whose rows have not all been finished.
struct Pending {
  const float* sums = nullptr;
  std::size_t row = 0;     // first one
  std::size_t column = 0;  // first one
  std::size_t rows = 0;
  std::size_t done = 0;
};

template <class Product, class Sink>
inline __attribute__((always_inline)) void finish_rows(const Product& product, const Sink& sink,
                                                       const typename Product::Columns& columns,
                                                       Pending& block, std::size_t end) {
  for (; block.done < end; ++block.done) {
    const float* sums = block.sums + block.done * kPanel;
    const std::size_t at = block.row + block.done;
    const typename Product::Row row = product.row(at);
    sink.put(product.template value<0>(sums, row, columns),
             product.template value<1>(sums, row, columns), at, block.column);
  }
}

// Where the tiles of one block of results come from.
struct Source {
  const std::byte* in;       // 32 rows
  const std::byte* weights;  // one panel
};

// One block: `steps` products of 2 x 2 tiles. Tiles 0-3 are sums, 4 and 5 rows, 6 and 7 weights.
// A tile is loaded again right after its last use, one step ahead: on a core that is shared with
// another thread, products do not wait for loads of their own step. It is set to zero first: a load
// keeps what the tile held until it is whole, so it would wait for that. The last step loads the
// first one of the next block. Rows pass through L1, so that more of the panel, which comes again
// for every 32 rows, stays there. Meanwhile the vector units finish the block before.
template <class Product, class Sink>
inline __attribute__((always_inline)) void multiply_block(
    const Product& product, const Sink& sink, const Source& now, const Source& next,
    std::size_t stride, std::size_t steps, Pending& before, Pending coming, std::size_t share,
    const std::byte*& ahead, std::size_t lines) {
  const std::byte* in = now.in;
  const std::byte* weights = now.weights;
  const typename Product::Columns columns = product.columns(before.column);
  for (std::size_t step = 1; step <= steps; ++step) {
    in = step == steps ? next.in : in + kLine;
    weights = step == steps ? next.weights : weights + kStepBytes;
    Product::template multiply<0, 4, 6>();
    Product::template multiply<1, 4, 7>();
    zero_tile<4>();
    Product::template multiply<2, 5, 6>();
    zero_tile<6>();
    Product::template multiply<3, 5, 7>();
    zero_tile<5>();
    zero_tile<7>();
    load_passing_tile<4>(in, stride);
    load_tile<6>(weights, kLine);
    load_tile<7>(weights + kTileBytes, kLine);
    load_passing_tile<5>(in + kTile * stride, stride);
    for (std::size_t i = 0; i < lines; ++i, ahead += kLine) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
    }
    // This block's results go to lines that the next block's steps write: they may be far away.
    for (std::size_t i = 0; i < kBringRows && coming.done < coming.rows; ++i, ++coming.done) {
      sink.bring(coming.row + coming.done, coming.column);
    }
    const std::size_t end = before.done + share;
    finish_rows(product, sink, columns, before, end < before.rows ? end : before.rows);
  }
  finish_rows(product, sink, columns, before, before.rows);
}

inline __attribute__((always_inline)) void store_block(float* to) {
  constexpr std::size_t kStride = kPanel * sizeof(float);
  store_tile<0>(to, kStride);
  zero_tile<0>();
  store_tile<1>(to + kTile, kStride);
  zero_tile<1>();
  store_tile<2>(to + kTile * kPanel, kStride);
  zero_tile<2>();
  store_tile<3>(to + kTile * kPanel + kTile, kStride);
  zero_tile<3>();
}

struct Shape {
  std::size_t rows, row_blocks, steps, stride, panel_bytes, panel_begin, panels, blocks;
};

template <class Product>
inline Source source_of(const GemmRows& in, const PanelWeights& weights, const Shape& shape,
                        std::size_t block) {
  // Behind the last block comes itself: its tiles are loaded and not used.
  const std::size_t at = block < shape.blocks ? block : shape.blocks - 1;
  const std::size_t panel = shape.panel_begin + at / shape.row_blocks;
  const std::size_t row = at % shape.row_blocks * kRowsAtOnce;
  return {static_cast<const std::byte*>(in.data) + row * shape.stride,
          weights.data + panel * shape.panel_bytes};
}

template <class Product, class Sink>
void multiply_all(const GemmRows& in, const PanelWeights& weights, const Shape& shape,
                  const Sink& sink, std::byte* scratch, const std::byte* next) {
  const Product product(in, weights);
  auto* sums = reinterpret_cast<float*>(scratch);
  const std::size_t share = Sink::kHeavy ? Product::kHeavyRows : kLightRows;
  Source now = source_of<Product>(in, weights, shape, 0);
  load_config();
  load_tile<4>(now.in, shape.stride);
  load_tile<5>(now.in + kTile * shape.stride, shape.stride);
  load_tile<6>(now.weights, kLine);
  load_tile<7>(now.weights + kTileBytes, kLine);
  Pending before;
  const std::byte* ahead = nullptr;
  // Each step brings a few lines of the next panel from the shared cache or memory to L2.
  const std::size_t steps_a_panel = shape.row_blocks * shape.steps;
  const std::size_t lines = (shape.panel_bytes / kLine + steps_a_panel - 1) / steps_a_panel;
  for (std::size_t block = 0; block < shape.blocks; ++block) {
    const std::size_t row_block = block % shape.row_blocks;
    const std::size_t panel = shape.panel_begin + block / shape.row_blocks;
    if (row_block == 0) {
      const bool last = panel + 1 == shape.panel_begin + shape.panels;
      ahead = last && next != nullptr ? next : weights.data + (panel + 1) * shape.panel_bytes;
    }
    const Source coming_source = source_of<Product>(in, weights, shape, block + 1);
    const std::size_t row = row_block * kRowsAtOnce;
    const std::size_t left = shape.rows - row;
    float* to = sums + block % 2 * kBlockFloats;
    const Pending coming{to, row, panel * kPanel, left < kRowsAtOnce ? left : kRowsAtOnce, 0};
    multiply_block(product, sink, now, coming_source, shape.stride, shape.steps, before, coming,
                   share, ahead, lines);
    store_block(to);
    before = coming;
    now = coming_source;
  }
  finish_rows(product, sink, product.columns(before.column), before, before.rows);
}

template <class Product>
void multiply_to(const GemmRows& in, const PanelWeights& weights, const Shape& shape,
                 const GemmOutput& out, std::byte* scratch, const std::byte* next) {
  if (out.kind == GemmOutput::Kind::add) {
    return multiply_all<Product>(in, weights, shape, AddSink(out), scratch, next);
  }
  if (out.kind == GemmOutput::Kind::store) {
    return multiply_all<Product>(in, weights, shape, HalfSink<Same>(out), scratch, next);
  }
  switch (out.activation) {
    case Activation::gelu_erf:
      return multiply_all<Product>(in, weights, shape, HalfSink<typename Product::Gelu>(out),
                                   scratch, next);
    case Activation::gelu_tanh:
      return multiply_all<Product>(in, weights, shape, HalfSink<GeluTanh>(out), scratch, next);
    case Activation::relu:
      return multiply_all<Product>(in, weights, shape, HalfSink<Relu>(out), scratch, next);
    case Activation::tanh:
      return multiply_all<Product>(in, weights, shape, HalfSink<Tanh>(out), scratch, next);
  }
}

}  // namespace

void tile_multiply(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                   std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                   std::byte* scratch, const std::byte* next) {
  const std::size_t row_blocks = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
  const bool int8 = weights.format == WeightFormat::s8;
  const std::size_t element = int8 ? Int8Product::kElement : Bf16Product::kElement;
  const std::size_t depth = int8 ? Int8Product::kDepth : Bf16Product::kDepth;
  const Shape shape{rows,
                    row_blocks,
                    weights.depth / depth,
                    in.stride * element,
                    weights.panel_bytes(),
                    panel_begin,
                    panel_end - panel_begin,
                    (panel_end - panel_begin) * row_blocks};
  if (int8) {
    multiply_to<Int8Product>(in, weights, shape, out, scratch, next);
  } else {
    multiply_to<Bf16Product>(in, weights, shape, out, scratch, next);
  }
}

// In a tile of weights a row holds one dword of depth (2 bf16 or 4 s8) for each of 16 columns.
void pack_tiles(const float* from, std::size_t columns, std::size_t depth, std::byte* to) {
  auto* half = reinterpret_cast<Bf16*>(to);
  for (std::size_t panel = 0; panel < columns; panel += kPanel) {
    for (std::size_t k = 0; k < depth; k += 32) {
      for (std::size_t tile = panel; tile < panel + kPanel; tile += kTile) {
        for (std::size_t row = 0; row < kTile; ++row) {
          for (std::size_t column = tile; column < tile + kTile; ++column) {
            const float* pair = from + column * depth + k + 2 * row;
            const __m128bh halves = _mm_cvtneps_pbh(_mm_setr_ps(pair[0], pair[1], 0, 0));
            const auto bits = _mm_cvtsi128_si32(reinterpret_cast<const __m128i&>(halves));
            *half++ = static_cast<Bf16>(bits & 0xFFFF);
            *half++ = static_cast<Bf16>(static_cast<std::uint32_t>(bits) >> 16);
          }
        }
      }
    }
  }
}

void pack_tiles(const std::int8_t* from, std::size_t columns, std::size_t depth, std::byte* to) {
  for (std::size_t panel = 0; panel < columns; panel += kPanel) {
    for (std::size_t k = 0; k < depth; k += 64) {
      for (std::size_t tile = panel; tile < panel + kPanel; tile += kTile) {
        for (std::size_t row = 0; row < kTile; ++row) {
          for (std::size_t column = tile; column < tile + kTile; ++column) {
            const std::int8_t* four = from + column * depth + k + 4 * row;
            for (std::size_t i = 0; i < 4; ++i) *to++ = static_cast<std::byte>(four[i]);
          }
        }
      }
    }
  }
}

}  // namespace breakeven::ops::cpu

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
