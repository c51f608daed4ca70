// exp in a form that compilers vectorise.
#pragma once

#include <cstdint>

#include "ops/kernels/bfloat16.h"

namespace lexiseg::ops::LEXISEG_ISA {

LEXISEG_INLINE double exponential(double x) { return __builtin_exp(x); }

// Within 2 units in the last place on [-87, 87]; clamped outside; NaN stays NaN.
LEXISEG_INLINE float exponential(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, which stays in the low bits.
  constexpr float kRounder = 12582912.0f;
  x = x < -87.0f ? -87.0f : x;
  x = x > 87.0f ? 87.0f : x;
  const float shifted = x * kLog2E + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t exponent = (__builtin_bit_cast(uint32_t, shifted) << 23) + (127u << 23);
  return p * __builtin_bit_cast(float, exponent);
}

}  // namespace lexiseg::ops::LEXISEG_ISA
