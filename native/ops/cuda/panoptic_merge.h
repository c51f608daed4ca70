// lexiseg::panoptic_merge on CUDA.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace lexiseg::ops::cuda {

struct PanopticArguments {
  const at::Tensor& mask_logits;  // float32 [Q, h, w]
  const at::Tensor& scores;       // float32 [Q]
  const at::Tensor& labels;       // int64 [Q]; K is void
  const at::Tensor& thing;        // bool [K]
  at::IntArrayRef geometry;
  double object_mask_threshold, overlap_threshold;
};

// Returns segment_ids int32 [H, W] on the device of the masks, and on the CPU, where they are read:
// classes int64 [N], segment_scores float32 [N], areas int64 [N], boxes int32 [N, 4], queries
// int64 [N]. The host waits once.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> panoptic_merge(
    const PanopticArguments& arguments);

}  // namespace lexiseg::ops::cuda
