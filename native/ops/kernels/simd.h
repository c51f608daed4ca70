// Vectors of the width that a kernel is compiled for, in the compilers' own vector types:
// arithmetic, comparison and ?: work on whole vectors. Comparisons give all bits set where true.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>

#include "ops/kernels/bfloat16.h"

namespace lexiseg::ops::LEXISEG_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(kLanes * sizeof(int32_t))));
typedef Floats LooseFloats __attribute__((aligned(4), may_alias));
typedef Ints LooseInts __attribute__((aligned(2), may_alias));

LEXISEG_INLINE Floats load(const float* from) {
  return *reinterpret_cast<const LooseFloats*>(from);
}
LEXISEG_INLINE Ints load(const int32_t* from) { return *reinterpret_cast<const LooseInts*>(from); }
LEXISEG_INLINE void store(float* to, Floats v) { *reinterpret_cast<LooseFloats*>(to) = v; }
LEXISEG_INLINE void store(int32_t* to, Ints v) { *reinterpret_cast<LooseInts*>(to) = v; }
LEXISEG_INLINE Floats all(float x) { return Floats{} + x; }
LEXISEG_INLINE Ints all(int32_t x) { return Ints{} + x; }

// The second where the first is NaN.
LEXISEG_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }
LEXISEG_INLINE Floats smaller(Floats a, Floats b) { return a < b ? a : b; }

typedef uint16_t Halves __attribute__((vector_size(kLanes * sizeof(uint16_t))));
typedef Halves LooseHalves __attribute__((aligned(2), may_alias));

LEXISEG_INLINE Floats load(const BFloat16* from) {
  const Halves upper = *reinterpret_cast<const LooseHalves*>(from);
  return reinterpret_cast<Floats>(__builtin_convertvector(upper, Ints) << 16);
}

// Two bfloat16 are a word, the first of them its lower half; as float32 a half is itself and zeros.
constexpr int32_t kUpperHalf = ~0xffff;

LEXISEG_INLINE Ints load_words(const BFloat16* from) {
  return *reinterpret_cast<const LooseInts*>(from);
}

// The bits of bfloat16 in the upper halves, to the nearest, ties to even; NaN stays NaN.
LEXISEG_INLINE Ints narrowed(Floats x) {
  const Ints word = reinterpret_cast<Ints>(x);
  const Ints rounded = word + 0x7fff + ((word >> 16) & 1);
  return (x == x ? rounded : all(0x7fc00000)) & kUpperHalf;
}

LEXISEG_INLINE void store(BFloat16* to, Floats v) {
  *reinterpret_cast<LooseHalves*>(to) = __builtin_convertvector(narrowed(v) >> 16, Halves);
}

LEXISEG_INLINE void store_words(BFloat16* to, Floats lower, Floats upper) {
  *reinterpret_cast<LooseInts*>(to) = ((narrowed(lower) >> 16) & 0xffff) | narrowed(upper);
}

// One value of all lanes, half of them with the other half again and again. Lanes are copied one by
// one: a whole vector would have to lie as far apart on the stack as AddressSanitizer does not
// place it.
template <typename Merge>
LEXISEG_INLINE float merged_lanes(Floats v, Merge merge) {
  float lanes[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) lanes[i] = v[i];
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] = merge(lanes[i], lanes[i + half]);
  }
  return lanes[0];
}
LEXISEG_INLINE float largest_lane(Floats v) {
  return merged_lanes(v, [](float a, float b) { return a > b ? a : b; });
}
LEXISEG_INLINE float sum_of_lanes(Floats v) {
  return merged_lanes(v, [](float a, float b) { return a + b; });
}

// One bit a lane, from a comparison.
LEXISEG_INLINE uint32_t bits(Ints truth) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(truth));
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(truth)));
#else
  uint32_t result = 0;
  for (int i = 0; i < kLanes; ++i) result |= (static_cast<uint32_t>(truth[i]) & 1u) << i;
  return result;
#endif
}

// from[index] of each lane; with `window`, all indices are below kLanes.
template <bool window>
LEXISEG_INLINE Floats gather(const float* from, Ints index) {
#if defined(__AVX512F__)
  constexpr __mmask16 kAll = 0xffff;
  if (window) {
    return reinterpret_cast<Floats>(
        _mm512_maskz_permutexvar_ps(kAll, reinterpret_cast<__m512i>(index), _mm512_loadu_ps(from)));
  }
  return reinterpret_cast<Floats>(_mm512_mask_i32gather_ps(
      _mm512_setzero_ps(), kAll, reinterpret_cast<__m512i>(index), from, sizeof(float)));
#elif defined(__AVX2__)
  if (window) {
    return reinterpret_cast<Floats>(
        _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), reinterpret_cast<__m256i>(index)));
  }
  return reinterpret_cast<Floats>(
      _mm256_i32gather_ps(from, reinterpret_cast<__m256i>(index), sizeof(float)));
#else
  Floats result;
  for (int i = 0; i < kLanes; ++i) result[i] = from[index[i]];
  return result;
#endif
}

// exp(x), as exponential(float) in exponential.h.
LEXISEG_INLINE Floats exponential(Floats x) {
  x = larger(smaller(x, all(87.0f)), all(-87.0f));
  constexpr float kRounder = 12582912.0f;
  const Floats shifted = x * 1.44269504f + kRounder;
  const Floats n = shifted - kRounder;
  const Floats r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + (r + 1.0f);
  const Ints exponent = (reinterpret_cast<Ints>(shifted) << 23) + (127 << 23);
  return p * reinterpret_cast<Floats>(exponent);
}

// 1 / (1 + exp(-x)); exactly 0 below -80, so that nothing downstream meets denormal numbers.
LEXISEG_INLINE Floats sigmoid(Floats x) {
  return x > -80.0f ? 1.0f / (1.0f + exponential(-x)) : Floats{};
}

}  // namespace lexiseg::ops::LEXISEG_ISA
