// The AVX-512 instructions of the AMX kernels as plain C++, bit for bit, so that a CPU with AVX2
// can run those kernels. Names and types are those of <immintrin.h>, which must not be included
// beside it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/check.h"

// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier)
namespace breakeven::ops::cpu::emulated {

typedef float __m512 __attribute__((vector_size(64), may_alias));
typedef long long __m512i __attribute__((vector_size(64), may_alias));
typedef long long __m256i __attribute__((vector_size(32), may_alias));
typedef short __m512bh __attribute__((vector_size(64), may_alias));
using __mmask32 = std::uint32_t;

inline constexpr int _MM_FROUND_TO_NEAREST_INT = 0;
inline constexpr int _MM_FROUND_NO_EXC = 8;
inline constexpr int _MM_HINT_T1 = 2;

// A vector as an array of whatever it holds, and back.
template <class T, class Vector>
struct Lanes {
  T at[sizeof(Vector) / sizeof(T)];
  Lanes() = default;
  explicit Lanes(const Vector& vector) { std::memcpy(at, &vector, sizeof(at)); }
  Vector vector() const {
    Vector made;
    std::memcpy(&made, at, sizeof(at));
    return made;
  }
};
using Words = Lanes<std::uint16_t, __m512i>;
using Dwords = Lanes<std::uint32_t, __m512i>;
using Quads = Lanes<std::uint64_t, __m512i>;
struct Part {  // 128 bits
  std::uint64_t half[2];
};

inline void _mm_prefetch(const char* /*at*/, int /*hint*/) {}

template <class Vector>
Vector load(const void* from) {
  Vector made;
  std::memcpy(&made, from, sizeof(made));
  return made;
}
inline void expect_aligned(const void* at) {
  BREAKEVEN_CHECK(reinterpret_cast<std::uintptr_t>(at) % 64 == 0, "an aligned access to {}", at);
}
inline __m512 _mm512_loadu_ps(const void* from) {
  return load<__m512>(from);
}
inline __m512 _mm512_load_ps(const void* from) {
  expect_aligned(from);
  return load<__m512>(from);
}
inline __m512i _mm512_load_si512(const void* from) {
  expect_aligned(from);
  return load<__m512i>(from);
}
inline __m512i _mm512_loadu_si512(const void* from) {
  return load<__m512i>(from);
}
inline void _mm512_store_ps(void* to, __m512 x) {
  expect_aligned(to);
  std::memcpy(to, &x, sizeof(x));
}
inline void _mm512_storeu_ps(void* to, __m512 x) {
  std::memcpy(to, &x, sizeof(x));
}
inline void _mm512_storeu_si512(void* to, __m512i x) {
  std::memcpy(to, &x, sizeof(x));
}
inline void _mm512_store_si512(void* to, __m512i x) {
  expect_aligned(to);
  std::memcpy(to, &x, sizeof(x));
}
inline __m512i _mm512_maskz_loadu_epi16(__mmask32 mask, const void* from) {
  Words made{};
  const auto* words = static_cast<const std::byte*>(from);
  for (std::size_t i = 0; i < 32; ++i) {
    if ((mask >> i & 1U) != 0) std::memcpy(made.at + i, words + 2 * i, 2);
  }
  return made.vector();
}
inline void _mm512_mask_storeu_epi16(void* to, __mmask32 mask, __m512i x) {
  const Words words(x);
  for (std::size_t i = 0; i < 32; ++i) {
    if ((mask >> i & 1U) != 0) std::memcpy(static_cast<std::byte*>(to) + 2 * i, words.at + i, 2);
  }
}

inline __m512 _mm512_set1_ps(float x) {
  return x - __m512{};
}
inline __m512 _mm512_setzero_ps() {
  return __m512{};
}
inline __m512i _mm512_set1_epi32(std::int32_t x) {
  Dwords made;
  for (auto& dword : made.at) dword = static_cast<std::uint32_t>(x);
  return made.vector();
}
inline float _mm512_cvtss_f32(__m512 x) {
  return x[0];
}

inline __m512 _mm512_add_ps(__m512 a, __m512 b) {
  return a + b;
}
inline __m512 _mm512_sub_ps(__m512 a, __m512 b) {
  return a - b;
}
inline __m512 _mm512_mul_ps(__m512 a, __m512 b) {
  return a * b;
}
inline __m512 _mm512_div_ps(__m512 a, __m512 b) {
  return a / b;
}
template <class Function>
__m512 each(const Function& function) {
  __m512 made;
  for (int i = 0; i < 16; ++i) made[i] = function(i);
  return made;
}
inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
  return each([&](int i) { return std::fma(a[i], b[i], c[i]); });
}
inline __m512 _mm512_fmsub_ps(__m512 a, __m512 b, __m512 c) {
  return _mm512_fmadd_ps(a, b, -c);
}
inline __m512 _mm512_fnmadd_ps(__m512 a, __m512 b, __m512 c) {
  return _mm512_fmadd_ps(-a, b, c);
}
// The second operand where the two are equal or one is no number.
inline __m512 _mm512_max_ps(__m512 a, __m512 b) {
  return each([&](int i) { return a[i] > b[i] ? a[i] : b[i]; });
}
inline __m512 _mm512_min_ps(__m512 a, __m512 b) {
  return each([&](int i) { return a[i] < b[i] ? a[i] : b[i]; });
}
inline __m512 _mm512_abs_ps(__m512 x) {
  return each([&](int i) { return std::fabs(x[i]); });
}
inline __m512 _mm512_and_ps(__m512 a, __m512 b) {
  return load<__m512>(&static_cast<const __m512i&>(load<__m512i>(&a) & load<__m512i>(&b)));
}
inline __m512 _mm512_or_ps(__m512 a, __m512 b) {
  return load<__m512>(&static_cast<const __m512i&>(load<__m512i>(&a) | load<__m512i>(&b)));
}
inline __m512 _mm512_roundscale_ps(__m512 x, int how) {
  BREAKEVEN_CHECK(how == (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), "how={}", how);
  return each([&](int i) { return std::nearbyint(x[i]); });
}
// a * 2^floor(b)
inline __m512 _mm512_scalef_ps(__m512 a, __m512 b) {
  return each([&](int i) {
    const float power = std::fmin(std::fmax(std::floor(b[i]), -400.0F), 400.0F);
    return std::isnan(b[i]) ? b[i] : std::scalbn(a[i], static_cast<int>(power));
  });
}
inline __m512 _mm512_cvtepi32_ps(__m512i x) {
  const Lanes<std::int32_t, __m512i> whole(x);
  return each([&](int i) { return static_cast<float>(whole.at[i]); });
}

// To bf16, to the nearest, ties to even; what is too small for a normal float is 0.
inline std::uint16_t rounded(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof(bits));
  if (std::isnan(x)) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  if (std::fabs(x) < std::numeric_limits<float>::min()) bits &= 0x80000000U;
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}
// The second operand goes to the lower half.
inline __m512bh _mm512_cvtne2ps_pbh(__m512 high, __m512 low) {
  Lanes<std::uint16_t, __m512bh> made;
  for (int i = 0; i < 16; ++i) {
    made.at[i] = rounded(low[i]);
    made.at[i + 16] = rounded(high[i]);
  }
  return made.vector();
}

inline __m256i _mm512_castsi512_si256(__m512i x) {
  return load<__m256i>(&x);
}
inline __m256i _mm512_extracti64x4_epi64(__m512i x, int which) {
  const Lanes<__m256i, __m512i> halves(x);
  return halves.at[which];
}
inline __m512i _mm512_cvtepu16_epi32(__m256i x) {
  const Lanes<std::uint16_t, __m256i> words(x);
  Dwords made;
  for (std::size_t i = 0; i < 16; ++i) made.at[i] = words.at[i];
  return made.vector();
}
template <class Function>
__m512i each_dword(const Function& function) {
  Dwords made;
  for (std::size_t i = 0; i < 16; ++i) made.at[i] = function(i);
  return made.vector();
}
inline __m512i _mm512_add_epi32(__m512i a, __m512i b) {
  const Dwords x(a), y(b);
  return each_dword([&](std::size_t i) { return x.at[i] + y.at[i]; });
}
inline __m512i _mm512_sub_epi32(__m512i a, __m512i b) {
  const Dwords x(a), y(b);
  return each_dword([&](std::size_t i) { return x.at[i] - y.at[i]; });
}
inline __m512 _mm512_i32gather_ps(__m512i index, const void* from, int scale) {
  const Dwords at(index);
  const auto* bytes = static_cast<const std::byte*>(from);
  return each([&](int i) {
    float value = 0;
    std::memcpy(&value, bytes + std::ptrdiff_t{static_cast<std::int32_t>(at.at[i])} * scale, 4);
    return value;
  });
}
inline __m512i _mm512_slli_epi32(__m512i x, unsigned bits) {
  Dwords made(x);
  for (auto& dword : made.at) dword <<= bits;
  return made.vector();
}
inline __m512 _mm512_castsi512_ps(__m512i x) {
  return load<__m512>(&x);
}

// Of each 128 bits of both, the lower or upper half, the first operand's elements first.
template <class T>
__m512i unpack(const __m512i& a, const __m512i& b, bool upper) {
  constexpr std::size_t kEach = 16 / sizeof(T);
  const Lanes<T, __m512i> from_a(a), from_b(b);
  Lanes<T, __m512i> made;
  for (std::size_t part = 0; part < 4; ++part) {
    for (std::size_t i = 0; i < kEach / 2; ++i) {
      const std::size_t at = part * kEach + i + (upper ? kEach / 2 : 0);
      made.at[part * kEach + 2 * i] = from_a.at[at];
      made.at[part * kEach + 2 * i + 1] = from_b.at[at];
    }
  }
  return made.vector();
}
inline __m512i _mm512_unpacklo_epi32(__m512i a, __m512i b) {
  return unpack<std::uint32_t>(a, b, false);
}
inline __m512i _mm512_unpackhi_epi32(__m512i a, __m512i b) {
  return unpack<std::uint32_t>(a, b, true);
}
inline __m512i _mm512_unpacklo_epi64(__m512i a, __m512i b) {
  return unpack<std::uint64_t>(a, b, false);
}
inline __m512i _mm512_unpackhi_epi64(__m512i a, __m512i b) {
  return unpack<std::uint64_t>(a, b, true);
}
// Two parts of 128 bits of the first operand, then two of the second.
template <class Vector>
Vector shuffle_parts(const Vector& a, const Vector& b, int which) {
  const Lanes<Part, Vector> from_a(a), from_b(b);
  Lanes<Part, Vector> made;
  for (int i = 0; i < 4; ++i) made.at[i] = (i < 2 ? from_a : from_b).at[which >> 2 * i & 3];
  return made.vector();
}
inline __m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int which) {
  return shuffle_parts(a, b, which);
}
inline __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int which) {
  return shuffle_parts(a, b, which);
}
// Within each 128 bits.
inline __m512 _mm512_permute_ps(__m512 x, int which) {
  return each([&](int i) { return x[i / 4 * 4 + (which >> 2 * (i % 4) & 3)]; });
}
// Word i is the one that index i names: 0 .. 31 of a, 32 .. 63 of b.
inline __m512i _mm512_permutex2var_epi16(__m512i a, __m512i index, __m512i b) {
  const Words from_a(a), from_b(b), at(index);
  Words made;
  for (std::size_t i = 0; i < 32; ++i) {
    made.at[i] = (at.at[i] & 32U) == 0 ? from_a.at[at.at[i] & 31U] : from_b.at[at.at[i] & 31U];
  }
  return made.vector();
}

}  // namespace breakeven::ops::cpu::emulated
// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)
