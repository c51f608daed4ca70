// Multi-scale deformable attention on plain arrays; shapes as in ms_deform_attn.h.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

inline constexpr int kMaxSamplingPoints = 128;

// Where point n of the L * P of a head looks: the level it belongs to.
struct SamplingPlan {
  int64_t count;  // L * P
  int32_t first_token[kMaxSamplingPoints];
  int32_t height[kMaxSamplingPoints], width[kMaxSamplingPoints];
};

struct DeformableSizes {
  int64_t tokens, heads, head_width, queries;
};

// Value holds elements of type V, offsets and logits of type U, reference (x, y) of type A.
struct DeformableInput {
  const void* value;
  const void* offsets;
  const void* logits;
  const void* reference;
  int64_t batch;
  DeformableSizes sizes;
  const SamplingPlan* plan;
};

struct DeformableGradient {
  const void* grad;    // V [B, Lq, M * Dh]
  void* value_grad;    // A [B, S, M, Dh], zeroed
  void* offsets_grad;  // U
  void* logits_grad;   // U
};

// A unit of forward work is one query of one head, b * M * Lq + m * Lq + q; of backward work one
// head of one image, b * M + m, because heads share no value.
using DeformableForward = void(const DeformableInput&, void* out, int64_t begin, int64_t end);
using DeformableBackward = void(const DeformableInput&, const DeformableGradient&, int64_t begin,
                                int64_t end);

// Named by V, then U; A is double where V is, float elsewhere.
struct DeformableKernels {
  DeformableForward *float_float, *bfloat16_float, *bfloat16_bfloat16, *double_double;
  DeformableBackward *float_float_backward, *bfloat16_float_backward, *bfloat16_bfloat16_backward,
      *double_double_backward;
};

}  // namespace lexiseg::ops
