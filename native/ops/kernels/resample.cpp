// Rows of masks: blending, widening, sigmoid, and the contest of queries for pixels.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "ops/kernels/resample.h"

#include "ops/kernels/exponential.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

constexpr int64_t kBlock = ColumnPlan::kBlock;
constexpr int64_t kGroup = ColumnPlan::kGroup;

inline float logistic(float x) { return 1.0f / (1.0f + exponential(-x)); }

void blend(const float* const* rows, const float* weights, int count, float* out, int64_t n) {
  const float w0 = weights[0];
  const float* r0 = rows[0];
  for (int64_t i = 0; i < n; ++i) out[i] = w0 * r0[i];
  for (int k = 1; k < count; ++k) {
    const float w = weights[k];
    const float* r = rows[k];
    for (int64_t i = 0; i < n; ++i) out[i] += w * r[i];
  }
}

// 16 output pixels starting at `at`.
inline void expand_group(const ColumnPlan& plan, const float* row, int64_t at, float* out) {
  const int64_t stride = plan.blocks * kBlock;
#if defined(__AVX512F__)
  const int32_t base = plan.base[at / kGroup];
  if (base >= 0) {
    const __m512 source = _mm512_loadu_ps(row + base);
    const __m512i origin = _mm512_set1_epi32(base);
    __m512 sum = _mm512_setzero_ps();
    for (int t = 0; t < plan.taps; ++t) {
      const __m512i index =
          _mm512_sub_epi32(_mm512_loadu_si512(plan.index + t * stride + at), origin);
      sum = _mm512_fmadd_ps(_mm512_loadu_ps(plan.weight + t * stride + at),
                            _mm512_permutexvar_ps(index, source), sum);
    }
    _mm512_storeu_ps(out, sum);
    return;
  }
#endif
  for (int64_t i = 0; i < kGroup; ++i) out[i] = 0;
  for (int t = 0; t < plan.taps; ++t) {
    const int32_t* index = plan.index + t * stride + at;
    const float* weight = plan.weight + t * stride + at;
    for (int64_t i = 0; i < kGroup; ++i) out[i] += weight[i] * row[index[i]];
  }
}

void expand(const ColumnPlan& plan, const float* row, float* out) {
  for (int64_t at = 0; at < plan.blocks * kBlock; at += kGroup) {
    expand_group(plan, row, at, out + at);
  }
}

void sigmoid(float* values, int64_t n) {
  for (int64_t i = 0; i < n; ++i) values[i] = logistic(values[i]);
}

// A bound of the block's scores: interpolation never leaves the range of its samples. The margin
// covers rounding.
inline float bound(const ColumnPlan& plan, const float* row, int64_t block) {
  float most = row[plan.first[block]];
  for (int32_t i = plan.first[block] + 1; i <= plan.last[block]; ++i) {
    most = row[i] > most ? row[i] : most;
  }
  return most + 1e-5f * (most < 0 ? -most : most);
}

int64_t compete(const ColumnPlan& plan, const RowContest& contest) {
  int64_t inside = 0;
  float logits[kBlock];
  const float score = contest.score;
  for (int64_t block = 0; block < plan.blocks; ++block) {
    float* best = contest.best + block * kBlock;
    int32_t* winner = contest.winner + block * kBlock;
    const float most = bound(plan, contest.row, block);
    float least = best[0];
    for (int64_t i = 1; i < kBlock; ++i) least = best[i] < least ? best[i] : least;
    const bool hopeless = score * logistic(most) * 1.00001f < least;
    if (hopeless && most < 0) continue;
    for (int64_t i = 0; i < kBlock; i += kGroup) {
      expand_group(plan, contest.row, block * kBlock + i, logits + i);
    }
    const int64_t columns = plan.width - block * kBlock;
    for (int64_t i = columns; i < kBlock; ++i) logits[i] = -1.0f;
    int32_t count = 0;
    for (int64_t i = 0; i < kBlock; ++i) count += logits[i] >= 0.0f;
    inside += count;
    if (hopeless) continue;
    const int32_t entry = contest.query * 2;
    for (int64_t i = 0; i < kBlock; ++i) {
      const float value = score * logistic(logits[i]);
      const bool wins = (value > best[i]) | ((value == best[i]) & (entry < (winner[i] & ~1)));
      best[i] = wins ? value : best[i];
      winner[i] = wins ? entry + (logits[i] >= 0.0f) : winner[i];
    }
  }
  return inside;
}

void argmax(const float* rows, int64_t k, int64_t stride, int64_t n, float* best, int32_t* index) {
  for (int64_t i = 0; i < n; ++i) {
    best[i] = rows[i];
    index[i] = 0;
  }
  for (int64_t j = 1; j < k; ++j) {
    const float* row = rows + j * stride;
    const auto label = static_cast<int32_t>(j);
    for (int64_t i = 0; i < n; ++i) {
      const bool larger = row[i] > best[i];
      best[i] = larger ? row[i] : best[i];
      index[i] = larger ? label : index[i];
    }
  }
}

}  // namespace

extern const ResampleKernels resample_kernels;
const ResampleKernels resample_kernels{blend, expand, sigmoid, compete, argmax};

}  // namespace lexiseg::ops::LEXISEG_ISA
