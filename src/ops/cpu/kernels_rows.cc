// Kernels that go over rows: embeddings, residual + LayerNorm, bias + activation, quantising.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_rows.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include "ops/cpu/kernels_math.inc"

HWY_BEFORE_NAMESPACE();
namespace breakeven::ops::cpu::HWY_NAMESPACE {
namespace {

// One result row as floats, whatever the GEMM left behind.
struct FloatRow {
  const float* values;
  const float* bias;
  HWY_INLINE FloatRow(const Accumulated& in, std::size_t row)
      : values(in.f32 + row * in.stride), bias(in.bias) {}
  HWY_INLINE VF load(std::size_t column) const {
    return hn::Add(hn::LoadU(DF(), values + column), hn::LoadU(DF(), bias + column));
  }
};

struct ScaledRow {
  const std::int32_t* values;
  const float* bias;
  const float* column_scale;
  const std::int32_t* column_sum;
  VF scale;
  VI zero;
  HWY_INLINE ScaledRow(const Accumulated& in, std::size_t row)
      : values(in.s32 + row * in.stride),
        bias(in.bias),
        column_scale(in.column_scale),
        column_sum(in.column_sum),
        scale(hn::Set(DF(), in.row_scale[row])),
        zero(hn::Set(DI(), in.row_zero[row])) {}
  HWY_INLINE VF unbiased(std::size_t column) const {
    const VI shift = hn::Mul(zero, hn::LoadU(DI(), column_sum + column));
    const VF exact = hn::ConvertTo(DF(), hn::Sub(hn::LoadU(DI(), values + column), shift));
    return hn::Mul(exact, hn::Mul(scale, hn::LoadU(DF(), column_scale + column)));
  }
  HWY_INLINE VF load(std::size_t column) const {
    return hn::Add(unbiased(column), hn::LoadU(DF(), bias + column));
  }
};

struct LoadFloat {
  const float* row;
  HWY_INLINE VF operator()(std::size_t column) const { return hn::LoadU(DF(), row + column); }
};
struct LoadBf16 {
  const Bf16* row;
  HWY_INLINE VF operator()(std::size_t column) const { return load_bf16(row + column); }
};

// u8 = round(x / scale) + zero over the row's range low .. high, which holds 0.
template <class Load>
HWY_INLINE void quantise_row(const Load& load, std::size_t columns, VF low, VF high,
                             std::size_t index, const Narrow& out) {
  const DF d;
  const float least = hn::GetLane(hn::MinOfLanes(d, low));
  const float most = hn::GetLane(hn::MaxOfLanes(d, high));
  const float range = most - least;
  const float scale = range > 0 ? range / 255.0F : 1.0F;
  const VF factor = hn::Set(d, 1.0F / scale);
  const VI zero = hn::NearestInt(hn::Mul(hn::Set(d, -least), factor));
  out.row_scale[index] = scale;
  out.row_zero[index] = hn::GetLane(zero);
  std::uint8_t* to = static_cast<std::uint8_t*>(out.data) + index * out.stride;
  const VI lowest = hn::Zero(DI());
  const VI highest = hn::Set(DI(), 255);
  // NearestInt minds what int32 cannot hold, for five instructions. These values are 255 at most,
  // and a sum with 1.5 * 2^23 is rounded alike (to the nearest, ties to even) and has the integer
  // in its lower bits.
  const VF shift = hn::Set(d, 12582912.0F);
  const VI offset = hn::Sub(zero, hn::BitCast(DI(), shift));
  for (std::size_t c = 0; c < columns; c += lanes()) {
    const VI q = hn::Add(hn::BitCast(DI(), hn::Add(hn::Mul(load(c), factor), shift)), offset);
    const VI cut = hn::Min(hn::Max(q, lowest), highest);
    hn::StoreU(hn::U8FromU32(hn::BitCast(DU(), cut)), DB(), to + c);
  }
}

// Sums of a row's columns: two chains of additions, because one waits for itself.
HWY_INLINE VF sum_of(const float* row, std::size_t columns) {
  const DF d;
  VF even = hn::Zero(d);
  VF odd = hn::Zero(d);
  std::size_t c = 0;
  for (; c + 2 * lanes() <= columns; c += 2 * lanes()) {
    even = hn::Add(even, hn::LoadU(d, row + c));
    odd = hn::Add(odd, hn::LoadU(d, row + c + lanes()));
  }
  if (c < columns) even = hn::Add(even, hn::LoadU(d, row + c));
  return hn::Add(even, odd);
}

// Sum of squared distances from the mean over exactly `width` columns.
HWY_INLINE float squared_distances(const float* row, std::size_t width, float mean) {
  const DF d;
  const VF center = hn::Set(d, mean);
  VF even = hn::Zero(d);
  VF odd = hn::Zero(d);
  std::size_t c = 0;
  for (; c + 2 * lanes() <= width; c += 2 * lanes()) {
    const VF first = hn::Sub(hn::LoadU(d, row + c), center);
    const VF second = hn::Sub(hn::LoadU(d, row + c + lanes()), center);
    even = hn::MulAdd(first, first, even);
    odd = hn::MulAdd(second, second, odd);
  }
  VF squares = hn::Add(even, odd);
  for (; c < width; c += lanes()) {
    const VF distance =
        hn::IfThenElseZero(hn::FirstN(d, width - c), hn::Sub(hn::LoadU(d, row + c), center));
    squares = hn::MulAdd(distance, distance, squares);
  }
  return hn::GetLane(hn::SumOfLanes(d, squares));
}

// row holds the sum to normalise (zeros behind width), and the result afterwards.
HWY_INLINE void normalise_row(float* row, VF total, const NormParameters& norm, std::size_t index,
                              const Narrow& out) {
  const DF d;
  const float count = static_cast<float>(norm.width);
  const float mean = hn::GetLane(hn::SumOfLanes(d, total)) / count;
  const float variance = squared_distances(row, norm.width, mean) / count;
  const VF center = hn::Set(d, mean);
  const VF inverse = hn::Div(hn::Set(d, 1.0F), hn::Sqrt(hn::Set(d, variance + norm.eps)));
  const std::size_t columns = padded(norm.width);
  const bool bf16 = out.format == Narrow::Format::bf16;
  const bool split = out.format == Narrow::Format::split;
  Bf16* narrow = bf16    ? static_cast<Bf16*>(out.data) + index * out.stride
                 : split ? static_cast<Bf16*>(out.data) + index * 2 * out.stride
                         : nullptr;
  VF low = hn::Zero(d);
  VF high = hn::Zero(d);
  for (std::size_t c = 0; c < columns; c += lanes()) {
    const VF scaled = hn::Mul(hn::Sub(hn::LoadU(d, row + c), center), inverse);
    const VF v = hn::MulAdd(scaled, hn::LoadU(d, norm.gamma + c), hn::LoadU(d, norm.beta + c));
    hn::StoreU(v, d, row + c);
    low = hn::Min(low, v);
    high = hn::Max(high, v);
    if (bf16) store_bf16(v, narrow + c);
    if (split) store_split(v, narrow + c, narrow + out.stride + c);
  }
  if (out.format == Narrow::Format::u8)
    quantise_row(LoadFloat{row}, columns, low, high, index, out);
}

template <class Row>
void residual_norm_rows(const Accumulated& in, const NormParameters& norm, std::size_t rows,
                        float* x, std::size_t stride, const Narrow& out) {
  const DF d;
  const std::size_t columns = padded(norm.width);
  for (std::size_t r = 0; r < rows; ++r) {
    const Row values(in, r);
    float* row = x + r * stride;
    VF total = hn::Zero(d);
    for (std::size_t c = 0; c < columns; c += lanes()) {
      const VF sum = hn::Add(values.load(c), hn::LoadU(d, row + c));
      hn::StoreU(sum, d, row + c);
      total = hn::Add(total, sum);
    }
    normalise_row(row, total, norm, r, out);
  }
}

void residual_norm(const Accumulated& in, const NormParameters& norm, std::size_t rows, float* x,
                   std::size_t stride, const Narrow& out) {
  if (in.s32 != nullptr) {
    residual_norm_rows<ScaledRow>(in, norm, rows, x, stride, out);
  } else {
    residual_norm_rows<FloatRow>(in, norm, rows, x, stride, out);
  }
}

void norm_rows(const NormParameters& norm, std::size_t rows, float* x, std::size_t stride,
               const Narrow& out) {
  const std::size_t columns = padded(norm.width);
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = x + r * stride;
    normalise_row(row, sum_of(row, columns), norm, r, out);
  }
}

void embed_norm(const EmbedTables& tables, const std::int32_t* ids, const std::int32_t* positions,
                const std::int32_t* types, std::size_t rows, float* x, std::size_t stride,
                const Narrow& out) {
  const DF d;
  const std::size_t columns = padded(tables.norm.width);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t word = static_cast<std::size_t>(ids[r]) * stride;
    const float* position = tables.position + static_cast<std::size_t>(positions[r]) * stride;
    const std::size_t type = types == nullptr ? 0 : static_cast<std::size_t>(types[r]);
    float* row = x + r * stride;
    VF total = hn::Zero(d);
    for (std::size_t c = 0; c < columns; c += lanes()) {
      VF sum = tables.word_f32 != nullptr ? hn::LoadU(d, tables.word_f32 + word + c)
                                          : load_bf16(tables.word_bf16 + word + c);
      if (tables.token_type != nullptr) {
        sum = hn::Add(sum, hn::LoadU(d, tables.token_type + type * stride + c));
      }
      sum = hn::Add(sum, hn::LoadU(d, position + c));
      hn::StoreU(sum, d, row + c);
      total = hn::Add(total, sum);
    }
    normalise_row(row, total, tables.norm, r, out);
  }
}

// The activation is a template argument of the row loop so that no branch is left inside.
template <class Row, class Function>
void finish_rows(const Accumulated& in, std::size_t rows, std::size_t columns, const Narrow& out,
                 float* work, const Function& function) {
  const DF d;
  for (std::size_t r = 0; r < rows; ++r) {
    const Row values(in, r);
    switch (out.format) {
      case Narrow::Format::f32: {
        float* to = static_cast<float*>(out.data) + r * out.stride;
        for (std::size_t c = 0; c < columns; c += lanes()) {
          hn::StoreU(function(values.load(c)), d, to + c);
        }
        break;
      }
      case Narrow::Format::bf16: {
        Bf16* to = static_cast<Bf16*>(out.data) + r * out.stride;
        for (std::size_t c = 0; c < columns; c += lanes()) {
          store_bf16(function(values.load(c)), to + c);
        }
        break;
      }
      case Narrow::Format::u8: {
        VF low = hn::Zero(d);
        VF high = hn::Zero(d);
        for (std::size_t c = 0; c < columns; c += lanes()) {
          const VF v = function(values.load(c));
          hn::StoreU(v, d, work + c);
          low = hn::Min(low, v);
          high = hn::Max(high, v);
        }
        quantise_row(LoadFloat{work}, columns, low, high, r, out);
        break;
      }
      case Narrow::Format::split:  // own GEMMs finish their results themselves
      case Narrow::Format::none:
        break;
    }
  }
}

struct Same {
  HWY_INLINE VF operator()(VF x) const { return x; }
};
template <Activation Which>
struct Activate {
  HWY_INLINE VF operator()(VF x) const { return activate(Which, x); }
};

template <class Row>
void finish_with(const Accumulated& in, const Activation* activation, std::size_t rows,
                 std::size_t columns, const Narrow& out, float* work) {
  if (activation == nullptr) return finish_rows<Row>(in, rows, columns, out, work, Same());
  switch (*activation) {
    case Activation::gelu_erf:
      return finish_rows<Row>(in, rows, columns, out, work, Activate<Activation::gelu_erf>());
    case Activation::gelu_tanh:
      return finish_rows<Row>(in, rows, columns, out, work, Activate<Activation::gelu_tanh>());
    case Activation::relu:
      return finish_rows<Row>(in, rows, columns, out, work, Activate<Activation::relu>());
    case Activation::tanh:
      return finish_rows<Row>(in, rows, columns, out, work, Activate<Activation::tanh>());
  }
}

void finish(const Accumulated& in, const Activation* activation, std::size_t rows,
            std::size_t columns, const Narrow& out, float* work) {
  if (in.s32 != nullptr) {
    finish_with<ScaledRow>(in, activation, rows, columns, out, work);
  } else {
    finish_with<FloatRow>(in, activation, rows, columns, out, work);
  }
}

void add_scaled(const Accumulated& in, bool first, std::size_t rows, std::size_t columns,
                float* out, std::size_t stride) {
  const DF d;
  for (std::size_t r = 0; r < rows; ++r) {
    const ScaledRow values(in, r);
    float* to = out + r * stride;
    for (std::size_t c = 0; c < columns; c += lanes()) {
      const VF v = values.unbiased(c);
      hn::StoreU(first ? v : hn::Add(v, hn::LoadU(d, to + c)), d, to + c);
    }
  }
}

void quantise_f32(const float* in, std::size_t stride, std::size_t rows, std::size_t columns,
                  const Narrow& out) {
  const DF d;
  for (std::size_t r = 0; r < rows; ++r) {
    const LoadFloat load{in + r * stride};
    VF low = hn::Zero(d);
    VF high = hn::Zero(d);
    for (std::size_t c = 0; c < columns; c += lanes()) {
      const VF v = load(c);
      low = hn::Min(low, v);
      high = hn::Max(high, v);
    }
    quantise_row(load, columns, low, high, r, out);
  }
}

void split_f32(const float* in, std::size_t stride, std::size_t rows, std::size_t columns,
               const Narrow& out) {
  for (std::size_t r = 0; r < rows; ++r) {
    Bf16* to = static_cast<Bf16*>(out.data) + r * 2 * out.stride;
    for (std::size_t c = 0; c < columns; c += lanes()) {
      store_split(hn::LoadU(DF(), in + r * stride + c), to + c, to + out.stride + c);
    }
  }
}

// bf16 are compared as they are: of two values above 0 the larger one is the larger word, of two
// below it the one further away, which has its sign bit set and so exceeds all others unsigned.
void quantise_bf16(const Bf16* in, std::size_t stride, std::size_t rows, std::size_t columns,
                   const Narrow& out) {
  const DF d;
  const DH words;
  const hn::RebindToSigned<DH> signed_words;
  for (std::size_t r = 0; r < rows; ++r) {
    const Bf16* row = in + r * stride;
    auto high = hn::Zero(signed_words);
    auto low = hn::Zero(words);
    for (std::size_t c = 0; c < columns; c += lanes()) {
      const auto values = hn::LoadU(words, row + c);
      high = hn::Max(high, hn::BitCast(signed_words, values));
      low = hn::Max(low, values);
    }
    const VF least = hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(DU(), low)));
    const VF most =
        hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(DU(), hn::BitCast(words, high))));
    quantise_row(LoadBf16{row}, columns, hn::Min(least, hn::Zero(d)), most, r, out);
  }
}

}  // namespace

void fill_row_kernels(Kernels& table) {
  table.embed_norm = embed_norm;
  table.residual_norm = residual_norm;
  table.norm = norm_rows;
  table.finish = finish;
  table.add_scaled = add_scaled;
  table.quantise_bf16 = quantise_bf16;
  table.quantise_f32 = quantise_f32;
  table.split_f32 = split_f32;
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
