// Scaled dot product attention of the forward pass.
#pragma once

#include <ATen/core/Tensor.h>

namespace lexiseg::ops {

// softmax(query * key^T / sqrt(C)) * value: query [B, H, N, C]; key, value [B, H, S, C]; all of one
// floating dtype, S at least 1. Returns [B, H, N, C] of that dtype; transposed to [B, N, H, C] it
// is contiguous where our kernel made it. The kernel takes float32 and bfloat16 on the CPU with C a
// multiple of 16 up to 128; with gradients, on other devices, and in bfloat16 on processors with a
// matrix unit, ATen's fused attention runs instead.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value);

}  // namespace lexiseg::ops
