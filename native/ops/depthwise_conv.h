// Depthwise convolution, with a backward pass that is not slower than its forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "ops/export.h"

namespace lexiseg::ops {

// x: floating-point [B, C, h, w]; weight [C, 1, k, k], k odd; bias [C]. Stride 1, zeros around:
// returns [B, C, h, w]. On a CPU in float32 or bfloat16, channels last, weights of 7 x 7 have a
// gradient of their own: ATen's takes many times as long as the forward pass. Sums over pixels are
// in float32, in an order that does not depend on the number of threads. Takes part in autocast.
LEXISEG_OPS_API at::Tensor depthwise_conv(const at::Tensor& x, const at::Tensor& weight,
                                          const std::optional<at::Tensor>& bias);

}  // namespace lexiseg::ops
