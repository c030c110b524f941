// Kernels that go over rows: embeddings, LayerNorm, bias + activation, quantising.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_rows.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include "ops/cpu/kernels_math.inc"

HWY_BEFORE_NAMESPACE();
namespace breakeven::ops::cpu::HWY_NAMESPACE {
namespace {

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
                             std::size_t index, const GemmInput& out) {
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
                              const GemmInput& out) {
  const DF d;
  const float count = static_cast<float>(norm.width);
  const float mean = hn::GetLane(hn::SumOfLanes(d, total)) / count;
  const float variance = squared_distances(row, norm.width, mean) / count;
  const VF center = hn::Set(d, mean);
  const VF inverse = hn::Div(hn::Set(d, 1.0F), hn::Sqrt(hn::Set(d, variance + norm.eps)));
  const std::size_t columns = padded(norm.width);
  const bool bf16 = out.format == NumberFormat::bf16;
  const bool split = out.format == NumberFormat::split;
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
  if (out.format == NumberFormat::u8) quantise_row(LoadFloat{row}, columns, low, high, index, out);
}

void norm_rows(const NormParameters& norm, std::size_t rows, float* x, std::size_t stride,
               const GemmInput& out) {
  const std::size_t columns = padded(norm.width);
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = x + r * stride;
    normalise_row(row, sum_of(row, columns), norm, r, out);
  }
}

void embed_norm(const EmbedTables& tables, const std::int32_t* ids, const std::int32_t* positions,
                const std::int32_t* types, std::size_t rows, float* x, std::size_t stride,
                const GemmInput& out) {
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

// The activation is a template argument so that no branch is left inside.
template <Activation Which>
void activate_rows(const float* bias, std::size_t rows, std::size_t columns, float* x,
                   std::size_t stride) {
  const DF d;
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = x + r * stride;
    for (std::size_t c = 0; c < columns; c += lanes()) {
      const VF sum = hn::Add(hn::LoadU(d, row + c), hn::LoadU(d, bias + c));
      hn::StoreU(activate(Which, sum), d, row + c);
    }
  }
}

void activate_all(Activation activation, const float* bias, std::size_t rows, std::size_t columns,
                  float* x, std::size_t stride) {
  switch (activation) {
    case Activation::gelu_erf:
      return activate_rows<Activation::gelu_erf>(bias, rows, columns, x, stride);
    case Activation::gelu_tanh:
      return activate_rows<Activation::gelu_tanh>(bias, rows, columns, x, stride);
    case Activation::relu:
      return activate_rows<Activation::relu>(bias, rows, columns, x, stride);
    case Activation::tanh:
      return activate_rows<Activation::tanh>(bias, rows, columns, x, stride);
  }
}

void quantise_f32(const float* in, std::size_t stride, std::size_t rows, std::size_t columns,
                  const GemmInput& out) {
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
               const GemmInput& out) {
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
                   const GemmInput& out) {
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
  table.norm = norm_rows;
  table.activate = activate_all;
  table.quantise_bf16 = quantise_bf16;
  table.quantise_f32 = quantise_f32;
  table.split_f32 = split_f32;
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
