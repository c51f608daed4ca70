// Masks and their classes to one map of segments.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace lexiseg::ops {

// The panoptic rule of FC-CLIP (sec. 3, after Mask2Former): queries compete for pixels by
// score * sigmoid(logit); a query keeps what it won and covers itself, unless it lost more than
// 1 - overlap_threshold of what it covers; later stuff segments of a class join the first one.
//
// mask_logits: float32 [Q, h, w] on a grid over the network input; scores: float32 [Q] in [0, 1];
// labels: int64 [Q], K is void; thing: bool [K]; geometry: see geometry.h.
// Returns segment_ids int32 [H, W] (0 is unlabelled, row i of the rest is segment i + 1), classes
// int64 [N], segment_scores float32 [N] (the largest of its queries), areas int64 [N] in pixels,
// boxes int32 [N, 4] as x, y, width, height, queries int64 [N]: the first that each is made of.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> panoptic_merge(
    const at::Tensor& mask_logits, const at::Tensor& scores, const at::Tensor& labels,
    const at::Tensor& thing, at::IntArrayRef geometry, double object_mask_threshold,
    double overlap_threshold);

}  // namespace lexiseg::ops
