// Masks times class probabilities to one label per pixel.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace lexiseg::ops {

// S[c] = sum over q of class_probs[q, c] * sigmoid(mask_logits[q]), then the largest per pixel, the
// lower class among equals (FC-CLIP, sec. 3).
//
// mask_logits: float32 [Q, h, w] on a grid over the network input; class_probs: float32 [Q, K],
// void dropped; geometry: see geometry.h. resize_scores false resizes logits to the output before
// the sigmoid; true takes the sigmoid at network size and resizes S, as the published semantic-only
// mode does (S is linear in the sigmoids, so these are resized instead). Returns labels int32 [H,
// W] and scores float32 [H, W]. Where no class has a score that is a number (no queries, no
// classes, NaN) the label is -1 and the score 0; NaN logits count as -infinity. The [K, H, W]
// scores never exist: working memory is a copy of class_probs and, for each thread, a tile of mask
// probabilities.
std::tuple<at::Tensor, at::Tensor> label_map(const at::Tensor& mask_logits,
                                             const at::Tensor& class_probs,
                                             at::IntArrayRef geometry, bool resize_scores);

}  // namespace lexiseg::ops
