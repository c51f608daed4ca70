// Mean features under binary masks.
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/export.h"

namespace lexiseg::ops {

// features: float32|bfloat16 [B, C, h, w], any layout; mask_logits: [B, Q, h, w], before the
// sigmoid. Returns float32 [B, Q, C]: the mean of the pixels with a positive logit, 0 for an empty
// mask (the sum is divided by the area + 1e-8). Sums are in float32, in an order that does not
// depend on the number of threads.
LEXISEG_OPS_API at::Tensor mask_pooling(const at::Tensor& features, const at::Tensor& mask_logits);

// Any device and dtype: the same from ATen's operators.
at::Tensor mask_pooling_composed(const at::Tensor& features, const at::Tensor& mask_logits);

// The op through the dispatcher, recorded for the gradient of the features; none flows into masks.
at::Tensor mask_pooling_autograd(const at::Tensor& features, const at::Tensor& mask_logits);

}  // namespace lexiseg::ops
