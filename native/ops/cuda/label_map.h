// lexiseg::label_map on CUDA.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace lexiseg::ops::cuda {

// mask_logits: float32 [Q, h, w]; class_probs: float32 [Q, K], void dropped; both on one device.
// Returns labels int32 [H, W], -1 where Q is 0, and their scores float32 [H, W], on that device.
// Queues work only:
// the host does not wait. Working memory is about 64 MB whatever K.
std::tuple<at::Tensor, at::Tensor> label_map(const at::Tensor& mask_logits,
                                             const at::Tensor& class_probs,
                                             at::IntArrayRef geometry, bool resize_scores);

}  // namespace lexiseg::ops::cuda
