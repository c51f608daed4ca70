// Multi-scale deformable attention on CUDA; the shapes are those of lexiseg::ms_deform_attn.
#pragma once

#include <ATen/core/Tensor.h>

namespace lexiseg::ops::cuda {

// Sampling points are laid out level by level. All tensors are on one CUDA device.
struct DeformableAttention {
  const at::Tensor& value;             // float32|bfloat16|float64 [B, S, M, Dh]
  at::IntArrayRef spatial_shapes;      // [h0, w0, h1, w1, ...], at most 16 levels, sum h * w = S
  const at::Tensor& reference_points;  // [Lq, 2], (x, y) normalised to [0, 1]
  const at::Tensor& sampling_offsets;  // [B, Lq, M, L, P, 2], (x, y) in pixels of the level
  const at::Tensor& attention_logits;  // [B, Lq, M, L * P]
};

// Each in the shape and dtype of the argument it belongs to.
struct DeformableGradients {
  at::Tensor value, sampling_offsets, attention_logits;
};

// Returns [B, Lq, M * Dh] in value's dtype; sums are in float32 (float64 for float64).
at::Tensor ms_deform_attn(const DeformableAttention& arguments);

// grad: [B, Lq, M * Dh]. The order of its atomic additions, so the last bits, vary between runs.
DeformableGradients ms_deform_attn_backward(const at::Tensor& grad,
                                            const DeformableAttention& arguments);

}  // namespace lexiseg::ops::cuda
