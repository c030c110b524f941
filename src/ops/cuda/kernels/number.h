// Number formats and elementary functions of the kernels, for the device and for the host: the same
// source is compiled by nvcc for GPUs and by the C++ compiler for the host executor of the tests.
// No CUDA header: conversions are PTX on a device and bit operations on the host, rounding to the
// nearest even in both.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "ops/ops.h"

#if defined(__CUDACC__)
#define BREAKEVEN_DEVICE __device__ __forceinline__
#define BREAKEVEN_HOST_DEVICE __host__ __device__ __forceinline__
#define BREAKEVEN_UNROLL _Pragma("unroll")
#else
#define BREAKEVEN_DEVICE inline
#define BREAKEVEN_HOST_DEVICE inline
#define BREAKEVEN_UNROLL
#endif

namespace breakeven::ops::cuda {

struct Half {
  std::uint16_t bits;
};
struct Bf16 {
  std::uint16_t bits;
};
// fp8 as 4 bits of exponent and 3 of fraction: no infinity, 0x7F and 0xFF are no numbers.
struct E4m3 {
  std::uint8_t bits;
};
inline constexpr float kLargestE4m3 = 448.0F;

namespace detail {

BREAKEVEN_HOST_DEVICE float bits_to_float(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

BREAKEVEN_HOST_DEVICE std::uint32_t float_to_bits(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  return std::bit_cast<std::uint32_t>(value);
#endif
}

// Drops the low `count` bits (1 .. 31), rounding to the nearest even.
BREAKEVEN_HOST_DEVICE std::uint32_t shift_and_round(std::uint32_t bits, unsigned count) {
  const std::uint32_t half = (1U << (count - 1)) - 1U;
  return (bits + half + ((bits >> count) & 1U)) >> count;
}

inline float half_to_float_on_host(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 5.9604644775390625e-8F;
    return bits_to_float(float_to_bits(magnitude) | sign);
  }
  const std::uint32_t biased = exponent == 31 ? 255U : exponent + 112U;
  return bits_to_float(sign | (biased << 23) | (fraction << 13));
}

inline std::uint16_t float_to_half_on_host(float value) {
  const std::uint32_t bits = float_to_bits(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000U) {
    half = 0x7E00U;  // not a number
  } else if (magnitude >= 0x477FF000U) {
    half = 0x7C00U;  // 65520 and more round to infinity
  } else if (magnitude >= 0x38800000U) {
    half = shift_and_round(magnitude - 0x38000000U, 13);
  } else if (magnitude > 0x33000000U) {  // subnormal: units of 2^-24
    const std::uint32_t significand = (magnitude & 0x7FFFFFU) | 0x800000U;
    half = shift_and_round(significand, 126U - (magnitude >> 23));
  }
  return static_cast<std::uint16_t>(sign | half);
}

BREAKEVEN_HOST_DEVICE float e4m3_to_float(std::uint8_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80U) << 24;
  const std::uint32_t exponent = (bits >> 3) & 0xFU;
  const std::uint32_t fraction = bits & 0x7U;
  if ((bits & 0x7FU) == 0x7FU) return bits_to_float(sign | 0x7FC00000U);
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-9
    const float magnitude = static_cast<float>(fraction) * 1.953125e-3F;
    return bits_to_float(float_to_bits(magnitude) | sign);
  }
  return bits_to_float(sign | ((exponent + 120U) << 23) | (fraction << 20));
}

// To the nearest even; what is larger than the largest becomes the largest, as with satfinite.
BREAKEVEN_HOST_DEVICE std::uint8_t float_to_e4m3(float value) {
  const std::uint32_t bits = float_to_bits(value);
  const std::uint32_t sign = (bits >> 24) & 0x80U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t code = 0;
  if (magnitude > 0x7F800000U) {
    code = 0x7FU;  // not a number
  } else if (magnitude >= 0x43E00000U) {
    code = 0x7EU;  // 448 and more
  } else if (magnitude >= 0x3C800000U) {
    code = shift_and_round(magnitude - 0x3C000000U, 20);
  } else if (magnitude > 0x3A800000U) {  // subnormal: units of 2^-9
    const std::uint32_t significand = (magnitude & 0x7FFFFFU) | 0x800000U;
    code = shift_and_round(significand, 141U - (magnitude >> 23));
  }
  return static_cast<std::uint8_t>(sign | code);
}

}  // namespace detail

BREAKEVEN_HOST_DEVICE float to_float(float value) {
  return value;
}
BREAKEVEN_HOST_DEVICE float to_float(Half value) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  return detail::half_to_float_on_host(value.bits);
#endif
}
BREAKEVEN_HOST_DEVICE float to_float(Bf16 value) {
  return detail::bits_to_float(static_cast<std::uint32_t>(value.bits) << 16);
}

BREAKEVEN_HOST_DEVICE float to_float(E4m3 value) {
  return detail::e4m3_to_float(value.bits);
}

template <class T>
BREAKEVEN_HOST_DEVICE T from_float(float value);
template <>
BREAKEVEN_HOST_DEVICE float from_float<float>(float value) {
  return value;
}
template <>
BREAKEVEN_HOST_DEVICE Half from_float<Half>(float value) {
#if defined(__CUDA_ARCH__)
  std::uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return Half{bits};
#else
  return Half{detail::float_to_half_on_host(value)};
#endif
}
template <>
BREAKEVEN_HOST_DEVICE Bf16 from_float<Bf16>(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return Bf16{bits};
#else
  const std::uint32_t bits = detail::float_to_bits(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return Bf16{0x7FC0U};
  return Bf16{static_cast<std::uint16_t>(detail::shift_and_round(bits, 16))};
#endif
}

template <>
BREAKEVEN_HOST_DEVICE E4m3 from_float<E4m3>(float value) {
  return E4m3{detail::float_to_e4m3(value)};
}

// Two codes as the low half of a word, the first in the low byte. GPUs without the instruction
// never run fp8.
BREAKEVEN_HOST_DEVICE std::uint32_t pack_e4m3(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t bits;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(bits) : "f"(second), "f"(first));
  return bits;
#else
  return static_cast<std::uint32_t>(from_float<E4m3>(first).bits) |
         (static_cast<std::uint32_t>(from_float<E4m3>(second).bits) << 8);
#endif
}

// Two neighbours of a row in one register, the first in the low half, as mma reads them.
template <class T>
BREAKEVEN_HOST_DEVICE std::uint32_t pack_pair(float first, float second) {
  return static_cast<std::uint32_t>(from_float<T>(first).bits) |
         (static_cast<std::uint32_t>(from_float<T>(second).bits) << 16);
}

BREAKEVEN_DEVICE float power_of_two(float exponent) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(exponent));
  return result;
#else
  return std::exp2(exponent);
#endif
}

BREAKEVEN_DEVICE float inverse_square_root(float value) {
#if defined(__CUDA_ARCH__)
  return rsqrtf(value);
#else
  return 1.0F / std::sqrt(value);
#endif
}

BREAKEVEN_DEVICE float largest_of(float a, float b) {
  return a > b ? a : b;
}

BREAKEVEN_DEVICE float minus_infinity() {
  return detail::bits_to_float(0xFF800000U);
}

// The activations as the reference defines them; GELU by erf, never by its tanh approximation
// unless the model says so.
BREAKEVEN_DEVICE float activate(Activation activation, float x) {
#if defined(__CUDA_ARCH__)
  const auto error_function = [](float v) { return erff(v); };
  const auto hyperbolic_tangent = [](float v) { return tanhf(v); };
#else
  const auto error_function = [](float v) { return std::erf(v); };
  const auto hyperbolic_tangent = [](float v) { return std::tanh(v); };
#endif
  switch (activation) {
    case Activation::gelu_erf:
      return 0.5F * x * (1.0F + error_function(x * 0.70710678118654752F));
    case Activation::gelu_tanh:
      return 0.5F * x *
             (1.0F + hyperbolic_tangent(0.79788456080286536F * (x + 0.044715F * x * x * x)));
    case Activation::relu:
      return x > 0.0F ? x : 0.0F;
    case Activation::tanh:
      return hyperbolic_tangent(x);
  }
  return x;
}

// GELU by erf for a result that is rounded to 16 bits or fewer, in half of erff's instructions:
//   x Phi(x) = max(x, 0) - a Phi(-a) with a = |x|, and Phi(-a) = 2^p(a).
// p is the polynomial of degree 7 that is nearest to log2(Phi(-a)) over 0 <= a <= 6
// (tools/fit_gelu.py). Up to there the relative error is below 2^-17, on the left side, too, where
// 1 + erf cancels; beyond, all that could differ is below 2^-27. A NaN stays one.
BREAKEVEN_DEVICE float gelu_of_16_bits(float x) {
  constexpr float kEnd = 16.0F;  // 2^p is 0 from 13 on; the powers of a must stay finite
  const float a = std::fmin(std::fabs(x), kEnd);
  float p = -1.83481086e-06F;
  p = p * a + 6.15982863e-05F;
  p = p * a - 0.00093052478F;
  p = p * a + 0.00850789063F;
  p = p * a - 0.05396007F;
  p = p * a - 0.458464384F;
  p = p * a - 1.15125108F;
  p = p * a - 0.999995291F;
  return (x < 0 ? 0.0F : x) - a * power_of_two(p);
}

// The activation of a value that becomes T, or fewer bits than T has.
template <class T>
BREAKEVEN_DEVICE float activate_as(Activation activation, float x) {
  if constexpr (sizeof(T) <= 2) {
    if (activation == Activation::gelu_erf) return gelu_of_16_bits(x);
  }
  return activate(activation, x);
}

}  // namespace breakeven::ops::cuda
