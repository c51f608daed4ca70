// Class logits on a coarse grid to one label per pixel.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace lexiseg::ops {

// Logits are resized to the output, then the largest wins, the lower class among equals (PACL, sec.
// 4). class_logits: float32 [K, h, w]; area: what their grid fills, (top, left, height, width) in
// pixels of the network input (GridArea); geometry: (height, width) of the resized image, top left
// in that input, and of the output. Returns labels int32 [H, W] and scores float32 [H, W], the
// softmax probability of the label. most_entropy, in nats: where the softmax has more, nothing is
// chosen. Without a choice, and where no logit is a number, the label is -1 and the score 0. The
// [K, H, W] logits never exist: working memory is, for each thread, a tile of them.
std::tuple<at::Tensor, at::Tensor> dense_label_map(const at::Tensor& class_logits,
                                                   at::ArrayRef<double> area,
                                                   at::IntArrayRef geometry,
                                                   std::optional<double> most_entropy);

}  // namespace lexiseg::ops
