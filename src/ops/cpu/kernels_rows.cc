// Kernels that go over rows: embeddings, LayerNorm, bias + activation, quantising.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_rows.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include <algorithm>
#include <type_traits>

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

// Rows that take turns: the sums over a row's lanes, its divisions and roots wait for each other. A
// row's arithmetic is the same alone.
constexpr std::size_t kInTurns = 4;

// Calls work(first, number of rows as a constant) for all rows.
template <class Work>
HWY_INLINE void in_turns(std::size_t rows, const Work& work) {
  std::size_t r = 0;
  for (; r + kInTurns <= rows; r += kInTurns) {
    work(r, std::integral_constant<std::size_t, kInTurns>());
  }
  for (; r < rows; ++r) work(r, std::integral_constant<std::size_t, 1>());
}

// The integers of four vectors, 0 .. 255 after saturation, as bytes.
HWY_INLINE void store_bytes(const VI (&q)[4], std::uint8_t* to) {
#if HWY_TARGET == HWY_AVX2
  const __m256i low = _mm256_packs_epi32(q[0].raw, q[1].raw);
  const __m256i high = _mm256_packs_epi32(q[2].raw, q[3].raw);
  // Packing works within 128 bits: fours of bytes come as 0 2 4 6 1 3 5 7.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
#else
  const __m512i low = _mm512_packs_epi32(q[0].raw, q[1].raw);
  const __m512i high = _mm512_packs_epi32(q[2].raw, q[3].raw);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)));
#endif
}

// u8 = round(x / scale) + zero over each row's range low .. high, which holds 0.
template <std::size_t Rows, class Load>
HWY_INLINE void quantise_rows(const Load (&load)[Rows], std::size_t columns, const VF (&low)[Rows],
                              const VF (&high)[Rows], std::size_t first, const GemmInput& out) {
  const DF d;
  // NearestInt minds what int32 cannot hold, for five instructions. These values are 255 at most,
  // and a sum with 1.5 * 2^23 is rounded alike (to the nearest, ties to even) and has the integer
  // in its lower bits.
  const VF shift = hn::Set(d, 12582912.0F);
  VF factor[Rows];
  VI offset[Rows];
  for (std::size_t r = 0; r < Rows; ++r) {
    const float least = hn::GetLane(hn::MinOfLanes(d, low[r]));
    const float most = hn::GetLane(hn::MaxOfLanes(d, high[r]));
    const float range = most - least;
    const float scale = range > 0 ? range / 255.0F : 1.0F;
    factor[r] = hn::Set(d, 1.0F / scale);
    const VI zero = hn::NearestInt(hn::Mul(hn::Set(d, -least), factor[r]));
    out.row_scale[first + r] = scale;
    out.row_zero[first + r] = hn::GetLane(zero);
    offset[r] = hn::Sub(zero, hn::BitCast(DI(), shift));
  }
  const auto integers = [&](std::size_t r, std::size_t c) {
    const VF moved = hn::Add(hn::Mul(load[r](c), factor[r]), shift);
    return hn::Add(hn::BitCast(DI(), moved), offset[r]);
  };
  std::uint8_t* to = static_cast<std::uint8_t*>(out.data) + first * out.stride;
  const std::size_t n = lanes();
  std::size_t c = 0;
  for (; c + 4 * n <= columns; c += 4 * n) {
    for (std::size_t r = 0; r < Rows; ++r) {
      const VI q[4] = {integers(r, c), integers(r, c + n), integers(r, c + 2 * n),
                       integers(r, c + 3 * n)};
      store_bytes(q, to + r * out.stride + c);
    }
  }
  for (; c < columns; c += n) {
    for (std::size_t r = 0; r < Rows; ++r) {
      const VI cut = hn::Min(hn::Max(integers(r, c), hn::Zero(DI())), hn::Set(DI(), 255));
      hn::StoreU(hn::U8FromU32(hn::BitCast(DU(), cut)), DB(), to + r * out.stride + c);
    }
  }
}

// Sums of rows over their columns.
template <std::size_t Rows>
HWY_INLINE void sums_of(const float* rows, std::size_t stride, std::size_t columns,
                        VF (&sums)[Rows]) {
  const DF d;
  VF odd[Rows];
  for (std::size_t r = 0; r < Rows; ++r) sums[r] = odd[r] = hn::Zero(d);
  std::size_t c = 0;
  for (; c + 2 * lanes() <= columns; c += 2 * lanes()) {
    for (std::size_t r = 0; r < Rows; ++r) {
      sums[r] = hn::Add(sums[r], hn::LoadU(d, rows + r * stride + c));
      odd[r] = hn::Add(odd[r], hn::LoadU(d, rows + r * stride + c + lanes()));
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) {
    if (c < columns) sums[r] = hn::Add(sums[r], hn::LoadU(d, rows + r * stride + c));
    sums[r] = hn::Add(sums[r], odd[r]);
  }
}

// Sums of squared distances from the means over exactly `width` columns.
template <std::size_t Rows>
HWY_INLINE void squared_distances(const float* rows, std::size_t stride, std::size_t width,
                                  const VF (&mean)[Rows], VF (&squares)[Rows]) {
  const DF d;
  VF odd[Rows];
  for (std::size_t r = 0; r < Rows; ++r) squares[r] = odd[r] = hn::Zero(d);
  std::size_t c = 0;
  for (; c + 2 * lanes() <= width; c += 2 * lanes()) {
    for (std::size_t r = 0; r < Rows; ++r) {
      const float* row = rows + r * stride + c;
      const VF first = hn::Sub(hn::LoadU(d, row), mean[r]);
      const VF second = hn::Sub(hn::LoadU(d, row + lanes()), mean[r]);
      squares[r] = hn::MulAdd(first, first, squares[r]);
      odd[r] = hn::MulAdd(second, second, odd[r]);
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) squares[r] = hn::Add(squares[r], odd[r]);
  for (; c < width; c += lanes()) {
    const auto mask = hn::FirstN(d, width - c);
    for (std::size_t r = 0; r < Rows; ++r) {
      const VF distance = hn::Sub(hn::LoadU(d, rows + r * stride + c), mean[r]);
      const VF counted = hn::IfThenElseZero(mask, distance);
      squares[r] = hn::MulAdd(counted, counted, squares[r]);
    }
  }
}

// `rows` hold the sums to normalise (zeros after width), and the results afterwards.
template <std::size_t Rows>
HWY_INLINE void normalise_rows(float* rows, std::size_t stride, const NormParameters& norm,
                               std::size_t first, const GemmInput& out) {
  const DF d;
  const std::size_t columns = padded(norm.width);
  const VF count = hn::Set(d, static_cast<float>(norm.width));
  VF mean[Rows];
  VF inverse[Rows];
  sums_of<Rows>(rows, stride, columns, mean);
  for (std::size_t r = 0; r < Rows; ++r) mean[r] = hn::Div(hn::SumOfLanes(d, mean[r]), count);
  squared_distances<Rows>(rows, stride, norm.width, mean, inverse);
  for (std::size_t r = 0; r < Rows; ++r) {
    const VF variance = hn::Div(hn::SumOfLanes(d, inverse[r]), count);
    inverse[r] = hn::Div(hn::Set(d, 1.0F), hn::Sqrt(hn::Add(variance, hn::Set(d, norm.eps))));
  }
  const bool bf16 = out.format == NumberFormat::bf16;
  const bool split = out.format == NumberFormat::split;
  auto* narrow = static_cast<Bf16*>(out.data);
  VF low[Rows];
  VF high[Rows];
  for (std::size_t r = 0; r < Rows; ++r) low[r] = high[r] = hn::Zero(d);
  for (std::size_t c = 0; c < columns; c += lanes()) {
    const VF gamma = hn::LoadU(d, norm.gamma + c);
    const VF beta = hn::LoadU(d, norm.beta + c);
    for (std::size_t r = 0; r < Rows; ++r) {
      float* at = rows + r * stride + c;
      const VF scaled = hn::Mul(hn::Sub(hn::LoadU(d, at), mean[r]), inverse[r]);
      const VF v = hn::MulAdd(scaled, gamma, beta);
      hn::StoreU(v, d, at);
      low[r] = hn::Min(low[r], v);
      high[r] = hn::Max(high[r], v);
      if (bf16) store_bf16(v, narrow + (first + r) * out.stride + c);
      if (split) {
        Bf16* const to = narrow + (first + r) * 2 * out.stride + c;
        store_split(v, to, to + out.stride);
      }
    }
  }
  if (out.format != NumberFormat::u8) return;
  LoadFloat load[Rows];
  for (std::size_t r = 0; r < Rows; ++r) load[r].row = rows + r * stride;
  quantise_rows<Rows>(load, columns, low, high, first, out);
}

void norm_rows(const NormParameters& norm, std::size_t rows, float* x, std::size_t stride,
               const GemmInput& out) {
  in_turns(rows, [&](std::size_t first, auto count) {
    normalise_rows<count()>(x + first * stride, stride, norm, first, out);
  });
}

void embed_norm(const EmbedTables& tables, const std::int32_t* ids, const std::int32_t* positions,
                const std::int32_t* types, std::size_t rows, float* x, std::size_t stride,
                const GemmInput& out) {
  const DF d;
  const std::size_t columns = padded(tables.norm.width);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t word = static_cast<std::size_t>(ids[r]) * stride;
    const std::size_t position = static_cast<std::size_t>(positions[r]) * stride;
    const std::size_t type = types == nullptr ? 0 : static_cast<std::size_t>(types[r]);
    float* row = x + r * stride;
    for (std::size_t c = 0; c < columns; c += lanes()) {
      VF sum = tables.word_f32 != nullptr ? hn::LoadU(d, tables.word_f32 + word + c)
                                          : load_bf16(tables.word_bf16 + word + c);
      if (tables.token_type != nullptr) {
        sum = hn::Add(sum, hn::LoadU(d, tables.token_type + type * stride + c));
      }
      if (tables.position != nullptr) {
        sum = hn::Add(sum, hn::LoadU(d, tables.position + position + c));
      }
      hn::StoreU(sum, d, row + c);
    }
  }
  norm_rows(tables.norm, rows, x, stride, out);
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
  in_turns(rows, [&](std::size_t first, auto count) {
    LoadFloat load[count()];
    VF low[count()];
    VF high[count()];
    for (std::size_t r = 0; r < count(); ++r) {
      load[r].row = in + (first + r) * stride;
      low[r] = high[r] = hn::Zero(d);
    }
    for (std::size_t c = 0; c < columns; c += lanes()) {
      for (std::size_t r = 0; r < count(); ++r) {
        const VF v = load[r](c);
        low[r] = hn::Min(low[r], v);
        high[r] = hn::Max(high[r], v);
      }
    }
    quantise_rows<count()>(load, columns, low, high, first, out);
  });
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
  const hn::ScalableTag<std::uint16_t> words;
  const hn::RebindToSigned<decltype(words)> signed_words;
  // The two bf16 of each dword.
  const auto lower = [&](auto pairs) {
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::BitCast(DU(), pairs)));
  };
  const auto upper = [&](auto pairs) {
    return hn::BitCast(d, hn::And(hn::BitCast(DU(), pairs), hn::Set(DU(), 0xFFFF0000U)));
  };
  in_turns(rows, [&](std::size_t first, auto count) {
    LoadBf16 load[count()];
    hn::Vec<decltype(signed_words)> most[count()];
    hn::Vec<decltype(words)> least[count()];
    for (std::size_t r = 0; r < count(); ++r) {
      load[r].row = in + (first + r) * stride;
      most[r] = hn::Zero(signed_words);
      least[r] = hn::Zero(words);
    }
    for (std::size_t c = 0; c < columns; c += hn::Lanes(words)) {
      const auto real = hn::FirstN(words, columns - c);
      for (std::size_t r = 0; r < count(); ++r) {
        // The context comes from far away, and four rows at a time are no stream.
        __builtin_prefetch(load[r].row + 2 * kInTurns * stride + c, 0, 3);
        const auto values = hn::MaskedLoad(real, words, load[r].row + c);
        most[r] = hn::Max(most[r], hn::BitCast(signed_words, values));
        least[r] = hn::Max(least[r], values);
      }
    }
    VF low[count()];
    VF high[count()];
    for (std::size_t r = 0; r < count(); ++r) {
      low[r] = hn::Min(hn::Min(lower(least[r]), upper(least[r])), hn::Zero(d));
      high[r] = hn::Max(lower(most[r]), upper(most[r]));
    }
    quantise_rows<count()>(load, columns, low, high, first, out);
  });
}

// Pairs d and d + half of a head; the sums are of one row, so its company changes nothing.
template <class Element>
void rotate(const RotaryRows& by, std::size_t rows, Element* x, std::size_t stride) {
  const DF d;
  const std::size_t half = by.head_size / 2;
  using Load = std::conditional_t<std::is_same_v<Element, float>, LoadFloat, LoadBf16>;
  const auto store = [](VF value, Element* to) {
    if constexpr (std::is_same_v<Element, float>) {
      hn::StoreU(value, DF(), to);
    } else {
      store_bf16(value, to);
    }
  };
  // The last pairs of a head, where they are less than a vector: whole ones of a copy.
  const auto turn = [&](const float* cosines, const float* sines, Element* low, Element* high) {
    const VF cosine = hn::LoadU(d, cosines);
    const VF sine = hn::LoadU(d, sines);
    const VF a = Load{low}(0);
    const VF b = Load{high}(0);
    store(hn::NegMulAdd(b, sine, hn::Mul(a, cosine)), low);
    store(hn::MulAdd(a, sine, hn::Mul(b, cosine)), high);
  };
  for (std::size_t r = 0; r < rows; ++r) {
    const float* cosines = by.table + static_cast<std::size_t>(by.positions[r]) * by.head_size;
    for (std::size_t head = 0; head < by.heads; ++head) {
      Element* low = x + r * stride + head * by.head_size;
      std::size_t at = 0;
      for (; at + lanes() <= half; at += lanes()) {
        turn(cosines + at, cosines + half + at, low + at, low + half + at);
      }
      if (at == half) continue;
      HWY_ALIGN float turns[2][16] = {};
      HWY_ALIGN Element pairs[2][16] = {};
      const std::size_t left = half - at;
      for (std::size_t i = 0; i < 2; ++i) {
        std::copy_n(cosines + i * half + at, left, turns[i]);
        std::copy_n(low + i * half + at, left, pairs[i]);
      }
      turn(turns[0], turns[1], pairs[0], pairs[1]);
      for (std::size_t i = 0; i < 2; ++i) std::copy_n(pairs[i], left, low + i * half + at);
    }
  }
}

}  // namespace

void fill_row_kernels(Kernels& table) {
  table.embed_norm = embed_norm;
  table.norm = norm_rows;
  table.activate = activate_all;
  table.quantise_bf16 = quantise_bf16;
  table.quantise_f32 = quantise_f32;
  table.rotate_f32 = rotate<float>;
  table.rotate_bf16 = rotate<Bf16>;
  table.split_f32 = split_f32;
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
