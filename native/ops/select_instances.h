// The best (query, class) pairs as instances with run-length masks.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace lexiseg::ops {

// The instance rule of FC-CLIP (after Mask2Former): the top_k largest class probabilities over all
// queries and classes; with things_only stuff is dropped after that. An instance is the pixels with
// a positive logit, its score the class probability times the mean mask probability inside.
//
// mask_logits: float32 [Q, h, w] on a grid over the network input; class_probs: float32 [Q, K],
// void dropped; thing: bool [K]; geometry: see geometry.h. Returns counts int32 [R] and offsets
// int64 [N + 1] (COCO run lengths, see rle.h), classes int64 [N], scores float32 [N], areas int64
// [N], boxes int32 [N, 4] as x, y, width, height; best score first. Empty masks are dropped.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> select_instances(
    const at::Tensor& mask_logits, const at::Tensor& class_probs, const at::Tensor& thing,
    at::IntArrayRef geometry, int64_t top_k, bool things_only);

}  // namespace lexiseg::ops
