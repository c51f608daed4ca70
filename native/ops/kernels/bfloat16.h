// bfloat16 as bits, and the conversions that compilers turn into vector shifts.
#pragma once

#include <cstdint>

#define LEXISEG_INLINE inline __attribute__((always_inline))

namespace lexiseg::ops::LEXISEG_ISA {

struct BFloat16 {
  uint16_t bits;
};

LEXISEG_INLINE float widen(float x) { return x; }
LEXISEG_INLINE double widen(double x) { return x; }
LEXISEG_INLINE float widen(BFloat16 x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16);
}

LEXISEG_INLINE void narrow(float x, float* to) { *to = x; }
LEXISEG_INLINE void narrow(double x, double* to) { *to = x; }
// To the nearest, ties to even; NaN stays NaN.
LEXISEG_INLINE void narrow(float x, BFloat16* to) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to->bits = static_cast<uint16_t>(x == x ? rounded : 0x7fc0u);
}

}  // namespace lexiseg::ops::LEXISEG_ISA
