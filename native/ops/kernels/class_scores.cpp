#include "ops/kernels/class_scores.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

// Sums stay in registers: rows * 2 of them, two vectors of mask probabilities, one class
// probability.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 12;
#else
constexpr int kRows = 6;
#endif
constexpr int kPixels = 2 * kLanes;

struct Sums {
  Floats left[kRows], right[kRows];
};

// Queries are added one after another, so a pixel's scores do not depend on its neighbours.
LEXISEG_INLINE void accumulate(const float* probs, int64_t queries, const float* panel,
                               Sums& sums) {
#pragma GCC unroll 16
  for (int k = 0; k < kRows; ++k) sums.left[k] = sums.right[k] = Floats{};
  for (int64_t q = 0; q < queries; ++q) {
    const Floats left = load(panel + q * kPixels), right = load(panel + q * kPixels + kLanes);
    const float* p = probs + q * kRows;
#pragma GCC unroll 16
    for (int k = 0; k < kRows; ++k) {
      const Floats prob = all(p[k]);
      sums.left[k] += prob * left;
      sums.right[k] += prob * right;
    }
  }
}

void scores(const ClassBlocks& blocks, const float* panel, float* out) {
  for (int64_t k = 0; k < blocks.classes; k += kRows) {
    Sums sums;
    accumulate(blocks.probs + k * blocks.queries, blocks.queries, panel, sums);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      store(out + (k + i) * kPixels, sums.left[i]);
      store(out + (k + i) * kPixels + kLanes, sums.right[i]);
    }
  }
}

void best(const ClassBlocks& blocks, const float* panel, float* score, int32_t* label) {
  Floats left = all(-__builtin_huge_valf()), right = left;
  Ints left_label = all(-1), right_label = left_label;
  for (int64_t k = 0; k < blocks.classes; k += kRows) {
    Sums sums;
    accumulate(blocks.probs + k * blocks.queries, blocks.queries, panel, sums);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      if (k + i >= blocks.classes) break;
      const auto name = static_cast<int32_t>(k + i);
      const Ints left_wins = sums.left[i] > left, right_wins = sums.right[i] > right;
      left = left_wins ? sums.left[i] : left;
      right = right_wins ? sums.right[i] : right;
      left_label = left_wins ? all(name) : left_label;
      right_label = right_wins ? all(name) : right_label;
    }
  }
  store(score, left);
  store(score + kLanes, right);
  store(label, left_label);
  store(label + kLanes, right_label);
}

struct Leader {
  Floats logit = all(-__builtin_huge_valf());
  Ints label = all(-1);

  LEXISEG_INLINE void challenge(Floats other, int32_t name) {
    const Ints wins = other > logit;
    logit = wins ? other : logit;
    label = wins ? all(name) : label;
  }
};

void softmax(const float* logits, int64_t classes, int32_t* label, float* sum, float* weighted) {
  for (int64_t half = 0; half < kPixels; half += kLanes) {
    Leader leader;
    for (int64_t k = 0; k < classes; ++k) {
      leader.challenge(load(logits + k * kPixels + half), static_cast<int32_t>(k));
    }
    Floats total{}, product{};
    for (int64_t k = 0; k < classes; ++k) {
      const Floats below = load(logits + k * kPixels + half) - leader.logit;
      const Floats e = exponential(below);
      total += e;
      product += below * e;
    }
    store(label + half, leader.label);
    store(sum + half, total);
    store(weighted + half, product);
  }
}

}  // namespace

extern const ClassScoreKernels class_score_kernels;
const ClassScoreKernels class_score_kernels = {kRows, kPixels, scores, best, softmax};

}  // namespace lexiseg::ops::LEXISEG_ISA
