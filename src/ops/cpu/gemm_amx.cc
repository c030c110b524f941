// The GEMMs on AMX tiles.
#include "ops/cpu/tile_kernels.h"
// What follows is compiled for AMX.
#include "ops/cpu/amx_begin.inc"

namespace breakeven::ops::cpu::BREAKEVEN_TILES_NAMESPACE {
namespace {

#include "ops/cpu/activations_avx512.inc"
#ifndef BREAKEVEN_EMULATED_TILES
#include "ops/cpu/tiles.inc"
#endif

constexpr std::size_t kBlockFloats = kPanel * kRowsAtOnce;
constexpr std::size_t kLine = 64;

// Rows of a finished block that are worked on in one step of the next. While tiles are multiplied
// one of the two 512-bit ports is theirs, so vectors run at half their speed: more of an expensive
// epilogue inside a step makes the tiles wait, and what is left at the end of a block runs at full
// speed. Measured: 12 % (bf16) to 40 % (int8) for GELU against an even share.
constexpr std::size_t kLightRows = 4;
// Rows whose output lines are fetched in one step, for a depth of 768 in bytes all of them.
constexpr std::size_t kBringRows = 3;

BREAKEVEN_INLINE __m512 load_or_zero(const float* from, std::size_t first) {
  return from == nullptr ? _mm512_setzero_ps() : _mm512_loadu_ps(from + first);
}

// Where the tiles of one step of depth come from, or of a whole block of results.
struct Source {
  const std::byte* in;       // 32 rows
  const std::byte* weights;  // one panel
};

// One step: products of 2 x 2 tiles. Tiles 0-3 are sums, 4 and 5 rows, 6 and 7 weights.
// A tile is loaded again right after its last use, one step ahead: on a core that is shared with
// another thread, products do not wait for loads of their own step. It is set to zero first: a load
// keeps what the tile held until it is whole, so it would wait for that. Rows pass through L1, so
// that more of the panel, which comes again for every 32 rows, stays there.
template <class Product>
struct OneProduct {
  static constexpr std::size_t kStepBytes = 2 * kTileBytes;  // weights of one panel
  static BREAKEVEN_INLINE void load(const Source& from, std::size_t stride) {
    load_passing_tile<4>(from.in, stride);
    load_tile<6>(from.weights, kLine);
    load_tile<7>(from.weights + kTileBytes, kLine);
    load_passing_tile<5>(from.in + kTile * stride, stride);
  }
  static BREAKEVEN_INLINE void step(const Source& /*now*/, const Source& next, std::size_t stride) {
    Product::template multiply<0, 4, 6>();
    Product::template multiply<1, 4, 7>();
    zero_tile<4>();
    Product::template multiply<2, 5, 6>();
    zero_tile<6>();
    Product::template multiply<3, 5, 7>();
    zero_tile<5>();
    zero_tile<7>();
    load(next, stride);
  }
};

// Three products of halves: low rows by high weights, high by high, high by low. What low by low
// would add is 2^-16 of the whole. One of the two operands stays from each product to the next: 8
// loads for 12 products of tiles.
struct ThreeProducts {
  static constexpr std::size_t kStepBytes = 4 * kTileBytes;
  static BREAKEVEN_INLINE void load(const Source& from, std::size_t stride) {
    const std::byte* low = from.in + stride / 2;
    load_passing_tile<4>(low, stride);
    load_tile<6>(from.weights, kLine);
    load_tile<7>(from.weights + kTileBytes, kLine);
    load_passing_tile<5>(low + kTile * stride, stride);
  }
  static BREAKEVEN_INLINE void step(const Source& now, const Source& next, std::size_t stride) {
    multiply_bf16<0, 4, 6>();
    multiply_bf16<1, 4, 7>();
    zero_tile<4>();
    multiply_bf16<2, 5, 6>();
    multiply_bf16<3, 5, 7>();
    zero_tile<5>();
    load_passing_tile<4>(now.in, stride);
    load_passing_tile<5>(now.in + kTile * stride, stride);
    multiply_bf16<0, 4, 6>();
    multiply_bf16<2, 5, 6>();
    zero_tile<6>();
    multiply_bf16<1, 4, 7>();
    multiply_bf16<3, 5, 7>();
    zero_tile<7>();
    load_tile<6>(now.weights + 2 * kTileBytes, kLine);
    load_tile<7>(now.weights + 3 * kTileBytes, kLine);
    multiply_bf16<0, 4, 6>();
    multiply_bf16<2, 5, 6>();
    zero_tile<6>();
    multiply_bf16<1, 4, 7>();
    zero_tile<4>();
    multiply_bf16<3, 5, 7>();
    zero_tile<5>();
    zero_tile<7>();
    load(next, stride);
  }
};

// Sums become values. What belongs to a block's columns is loaded once, and what belongs to a row
// once for the row: tile loads need the load ports.
struct Bf16Product : OneProduct<Bf16Product> {
  static constexpr std::size_t kDepth = 32;  // of one step
  static constexpr std::size_t kElement = 2;
  static constexpr std::size_t kHeavyRows = 2;
  using Gelu = GeluErf;
  const float* bias;
  Bf16Product(const GemmRows& /*in*/, const PanelWeights& weights) : bias(weights.bias) {}

  template <int Sum, int First, int Second>
  static BREAKEVEN_INLINE void multiply() {
    multiply_bf16<Sum, First, Second>();
  }
  struct Columns {
    __m512 bias[2];
  };
  BREAKEVEN_INLINE Columns columns(std::size_t first) const {
    return {{load_or_zero(bias, first), load_or_zero(bias, first + kTile)}};
  }
  struct Row {};
  BREAKEVEN_INLINE Row row(std::size_t /*row*/) const { return {}; }
  template <int Half>
  BREAKEVEN_INLINE __m512 value(const float* sums, const Row& /*row*/,
                                const Columns& columns) const {
    return _mm512_add_ps(_mm512_load_ps(sums + Half * kTile), columns.bias[Half]);
  }
};

struct Int8Product : OneProduct<Int8Product> {
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
  static BREAKEVEN_INLINE void multiply() {
    multiply_int8<Sum, First, Second>();
  }
  struct Columns {
    __m512 bias[2], scale[2], sum[2];
  };
  BREAKEVEN_INLINE Columns columns(std::size_t first) const {
    return {{load_or_zero(bias, first), load_or_zero(bias, first + kTile)},
            {_mm512_loadu_ps(column_scale + first), _mm512_loadu_ps(column_scale + first + kTile)},
            {_mm512_loadu_ps(column_sum + first), _mm512_loadu_ps(column_sum + first + kTile)}};
  }
  struct Row {
    __m512 scale, zero;
  };
  BREAKEVEN_INLINE Row row(std::size_t row) const {
    return {set(row_scale[row]), _mm512_cvtepi32_ps(_mm512_set1_epi32(row_zero[row]))};
  }
  // The zero point leaves by a fused multiply-add: below 2^24 nothing is rounded before the scales.
  template <int Half>
  BREAKEVEN_INLINE __m512 value(const float* sums, const Row& row, const Columns& columns) const {
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + Half * kTile));
    const __m512 exact = _mm512_fnmadd_ps(row.zero, columns.sum[Half], sum);
    return _mm512_fmadd_ps(exact, _mm512_mul_ps(row.scale, columns.scale[Half]),
                           columns.bias[Half]);
  }
};

// fp32 as two halves: sums need what bf16's do.
struct SplitProduct : ThreeProducts {
  static constexpr std::size_t kDepth = 32;
  static constexpr std::size_t kElement = 4;
  static constexpr std::size_t kHeavyRows = 4;
  using Gelu = GeluErf;
  using Columns = Bf16Product::Columns;
  using Row = Bf16Product::Row;
  Bf16Product sums;
  SplitProduct(const GemmRows& in, const PanelWeights& weights) : sums(in, weights) {}
  BREAKEVEN_INLINE Columns columns(std::size_t first) const { return sums.columns(first); }
  BREAKEVEN_INLINE Row row(std::size_t row) const { return sums.row(row); }
  template <int Half>
  BREAKEVEN_INLINE __m512 value(const float* from, const Row& row, const Columns& columns) const {
    return sums.value<Half>(from, row, columns);
  }
};

constexpr __mmask32 kLowHalf = 0xFFFF;  // 16 of 32 words

// What becomes of two vectors of one row's values.
// kHeavy: an activation is most of the work.
template <class Function>
struct HalfSink {
  static constexpr bool kHeavy = Function::kHeavy;
  Bf16* out;
  std::size_t stride;
  Function function;
  explicit HalfSink(const GemmOutput& to) : out(to.half), stride(to.stride) {}
  BREAKEVEN_INLINE void bring(std::size_t row, std::size_t column) const {
    __builtin_prefetch(out + row * stride + column, 1);
  }
  BREAKEVEN_INLINE void put(__m512 low, __m512 high, std::size_t row, std::size_t column) const {
    const __m512bh both = _mm512_cvtne2ps_pbh(function(high), function(low));
    _mm512_storeu_si512(out + row * stride + column, reinterpret_cast<const __m512i&>(both));
  }
};

// function(low) * high: the first 16 columns of a panel are gated by the last.
template <class Function>
struct HalfGate {
  static constexpr bool kHeavy = Function::kHeavy;
  Bf16* out;
  std::size_t stride;
  Function function;
  explicit HalfGate(const GemmOutput& to) : out(to.half), stride(to.stride) {}
  BREAKEVEN_INLINE void bring(std::size_t row, std::size_t column) const {
    __builtin_prefetch(out + row * stride + column / 2, 1);
  }
  BREAKEVEN_INLINE void put(__m512 low, __m512 high, std::size_t row, std::size_t column) const {
    const __m512 gated = _mm512_mul_ps(function(low), high);
    const __m512bh twice = _mm512_cvtne2ps_pbh(gated, gated);
    _mm512_mask_storeu_epi16(out + row * stride + column / 2, kLowHalf,
                             reinterpret_cast<const __m512i&>(twice));
  }
};

// Two vectors as the sums of two halves each, and what is stored of them.
BREAKEVEN_INLINE __m512 widened(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
struct SplitPair {
  __m512i rounded, rest;
};
BREAKEVEN_INLINE SplitPair split_pair(__m512 first, __m512 second) {
  const __m512bh rounded = _mm512_cvtne2ps_pbh(second, first);
  const auto& bits = reinterpret_cast<const __m512i&>(rounded);
  const __m512bh rest =
      _mm512_cvtne2ps_pbh(_mm512_sub_ps(second, widened(_mm512_extracti64x4_epi64(bits, 1))),
                          _mm512_sub_ps(first, widened(_mm512_castsi512_si256(bits))));
  return {bits, reinterpret_cast<const __m512i&>(rest)};
}

template <class Function>
struct SplitGate {
  static constexpr bool kHeavy = Function::kHeavy;
  Bf16* out;
  std::size_t stride;
  Function function;
  explicit SplitGate(const GemmOutput& to) : out(to.half), stride(to.stride) {}
  BREAKEVEN_INLINE void bring(std::size_t row, std::size_t column) const {
    __builtin_prefetch(out + row * 2 * stride + column / 2, 1);
    __builtin_prefetch(out + row * 2 * stride + stride + column / 2, 1);
  }
  BREAKEVEN_INLINE void put(__m512 low, __m512 high, std::size_t row, std::size_t column) const {
    const __m512 gated = _mm512_mul_ps(function(low), high);
    const SplitPair pair = split_pair(gated, gated);
    Bf16* to = out + row * 2 * stride + column / 2;
    _mm512_mask_storeu_epi16(to, kLowHalf, pair.rounded);
    _mm512_mask_storeu_epi16(to + stride, kLowHalf, pair.rest);
  }
};

// The value as the sum of two halves.
template <class Function>
struct SplitSink {
  static constexpr bool kHeavy = Function::kHeavy;
  Bf16* out;
  std::size_t stride;
  Function function;
  explicit SplitSink(const GemmOutput& to) : out(to.half), stride(to.stride) {}
  BREAKEVEN_INLINE void bring(std::size_t row, std::size_t column) const {
    __builtin_prefetch(out + row * 2 * stride + column, 1);
    __builtin_prefetch(out + row * 2 * stride + stride + column, 1);
  }
  BREAKEVEN_INLINE void put(__m512 low, __m512 high, std::size_t row, std::size_t column) const {
    const SplitPair pair = split_pair(function(low), function(high));
    Bf16* to = out + row * 2 * stride + column;
    _mm512_storeu_si512(to, pair.rounded);
    _mm512_storeu_si512(to + stride, pair.rest);
  }
};

template <bool Adds>
struct FullSink {
  static constexpr bool kHeavy = false;
  float* out;
  std::size_t stride;
  explicit FullSink(const GemmOutput& to) : out(to.full), stride(to.stride) {}
  BREAKEVEN_INLINE void bring(std::size_t row, std::size_t column) const {
    __builtin_prefetch(out + row * stride + column, 1);
    __builtin_prefetch(out + row * stride + column + kTile, 1);
  }
  BREAKEVEN_INLINE void put(__m512 low, __m512 high, std::size_t row, std::size_t column) const {
    float* to = out + row * stride + column;
    _mm512_storeu_ps(to, Adds ? _mm512_add_ps(_mm512_loadu_ps(to), low) : low);
    _mm512_storeu_ps(to + 16, Adds ? _mm512_add_ps(_mm512_loadu_ps(to + 16), high) : high);
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
BREAKEVEN_INLINE void finish_rows(const Product& product, const Sink& sink,
                                  const typename Product::Columns& columns, Pending& block,
                                  std::size_t end) {
  for (; block.done < end; ++block.done) {
    const float* sums = block.sums + block.done * kPanel;
    const std::size_t at = block.row + block.done;
    const typename Product::Row row = product.row(at);
    sink.put(product.template value<0>(sums, row, columns),
             product.template value<1>(sums, row, columns), at, block.column);
  }
}

// One block: `steps` steps of depth, of which the last one loads the first one of the next block.
// Meanwhile the vector units finish the block before.
template <class Product, class Sink>
BREAKEVEN_INLINE void multiply_block(const Product& product, const Sink& sink, const Source& now,
                                     const Source& next, std::size_t stride, std::size_t steps,
                                     Pending& before, Pending coming, std::size_t share,
                                     const std::byte*& ahead, std::size_t lines) {
  Source at = now;
  const typename Product::Columns columns = product.columns(before.column);
  for (std::size_t step = 1; step <= steps; ++step) {
    const Source following =
        step == steps ? next : Source{at.in + kLine, at.weights + Product::kStepBytes};
    Product::step(at, following, stride);
    at = following;
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

BREAKEVEN_INLINE void store_block(float* to) {
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
  Product::load(now, shape.stride);
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

template <class Product, template <class> class Sink>
void activate_to(const GemmRows& in, const PanelWeights& weights, const Shape& shape,
                 const GemmOutput& out, std::byte* scratch, const std::byte* next) {
  switch (out.activation) {
    case Activation::gelu_erf:
      return multiply_all<Product>(in, weights, shape, Sink<typename Product::Gelu>(out), scratch,
                                   next);
    case Activation::gelu_tanh:
      return multiply_all<Product>(in, weights, shape, Sink<GeluTanh>(out), scratch, next);
    case Activation::relu:
      return multiply_all<Product>(in, weights, shape, Sink<Relu>(out), scratch, next);
    case Activation::tanh:
      return multiply_all<Product>(in, weights, shape, Sink<Tanh>(out), scratch, next);
  }
}

// Stored: what `store` means for this product's weights; Activated and Gated likewise.
template <class Product, class Stored, template <class> class Activated,
          template <class> class Gated>
void multiply_to(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
                 std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
                 std::byte* scratch, const std::byte* next) {
  const std::size_t row_blocks = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
  const Shape shape{rows,
                    row_blocks,
                    weights.depth / Product::kDepth,
                    in.stride * Product::kElement,
                    weights.panel_bytes(),
                    panel_begin,
                    panel_end - panel_begin,
                    (panel_end - panel_begin) * row_blocks};
  switch (out.kind) {
    case GemmOutput::Kind::add:
      return multiply_all<Product>(in, weights, shape, FullSink<true>(out), scratch, next);
    case GemmOutput::Kind::store:
      return multiply_all<Product>(in, weights, shape, Stored(out), scratch, next);
    case GemmOutput::Kind::activate:
      return activate_to<Product, Activated>(in, weights, shape, out, scratch, next);
    case GemmOutput::Kind::gate:
      return activate_to<Product, Gated>(in, weights, shape, out, scratch, next);
  }
}

}  // namespace

void multiply(const GemmRows& in, std::size_t rows, const PanelWeights& weights,
              std::size_t panel_begin, std::size_t panel_end, const GemmOutput& out,
              std::byte* scratch, const std::byte* next) {
  MultiplyPanels* const run = weights.format == WeightFormat::s8
                                  ? multiply_to<Int8Product, HalfSink<Same>, HalfSink, HalfGate>
                              : weights.format == WeightFormat::split
                                  ? multiply_to<SplitProduct, FullSink<false>, SplitSink, SplitGate>
                                  : multiply_to<Bf16Product, HalfSink<Same>, HalfSink, HalfGate>;
  run(in, rows, weights, panel_begin, panel_end, out, scratch, next);
}

}  // namespace breakeven::ops::cpu::BREAKEVEN_TILES_NAMESPACE

#include "ops/cpu/amx_end.inc"
