// Multi-scale deformable attention (Deformable DETR, arXiv 2010.04159, eq. 3).
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "ops/export.h"

namespace lexiseg::ops {

// value: float32|bfloat16|float64 [B, S, M, Dh]; spatial_shapes: [h0, w0, h1, w1, ...] of the L
// levels, whose h * w add up to S; reference_points: [Lq, 2], (x, y) normalised to the image;
// sampling_offsets: [B, Lq, M, L, P, 2], (x, y) in pixels of the level; attention_logits:
// [B, Lq, M, L * P], softmax over L * P. Sampling is bilinear with zeros outside and half-pixel
// centres. Returns [B, Lq, M * Dh] in value's dtype; sums are in float32 (float64 for float64).
LEXISEG_OPS_API at::Tensor ms_deform_attn(const at::Tensor& value, at::IntArrayRef spatial_shapes,
                                          const at::Tensor& reference_points,
                                          const at::Tensor& sampling_offsets,
                                          const at::Tensor& attention_logits);

// grad: [B, Lq, M * Dh]. Returns the gradients of value, sampling_offsets and attention_logits,
// each in the shape and dtype of its argument.
LEXISEG_OPS_API std::tuple<at::Tensor, at::Tensor, at::Tensor> ms_deform_attn_backward(
    const at::Tensor& grad, const at::Tensor& value, at::IntArrayRef spatial_shapes,
    const at::Tensor& reference_points, const at::Tensor& sampling_offsets,
    const at::Tensor& attention_logits);

// Any device: the op through the dispatcher, recorded for the gradient.
at::Tensor ms_deform_attn_autograd(const at::Tensor& value, at::IntArrayRef spatial_shapes,
                                   const at::Tensor& reference_points,
                                   const at::Tensor& sampling_offsets,
                                   const at::Tensor& attention_logits);

// Shapes without data.
at::Tensor ms_deform_attn_meta(const at::Tensor& value, at::IntArrayRef spatial_shapes,
                               const at::Tensor& reference_points,
                               const at::Tensor& sampling_offsets,
                               const at::Tensor& attention_logits);

std::tuple<at::Tensor, at::Tensor, at::Tensor> ms_deform_attn_backward_meta(
    const at::Tensor& grad, const at::Tensor& value, at::IntArrayRef spatial_shapes,
    const at::Tensor& reference_points, const at::Tensor& sampling_offsets,
    const at::Tensor& attention_logits);

}  // namespace lexiseg::ops
