// Scaled dot product attention of the forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lexiseg::ops {

// softmax(query * key^T / sqrt(C)) * value: query [B, H, N, C]; key, value [B, H, S, C]; all of one
// floating dtype, S at least 1. Returns [B, H, N, C] of that dtype; transposed to [B, N, H, C] it
// is contiguous where our kernel made it. The kernel takes float32 and bfloat16 on the CPU with C a
// multiple of 16 up to 128; with gradients, on other devices, and in bfloat16 on processors with a
// matrix unit, ATen's fused attention runs instead.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value);

// ATen's operator of the same arguments, which on a CPU reads as many keys as there are values
// without looking: here they must be as many. Networks of bundles get it in its place.
at::Tensor checked_attention(const at::Tensor& query, const at::Tensor& key,
                             const at::Tensor& value, const std::optional<at::Tensor>& mask,
                             double dropout, bool causal, std::optional<double> scale,
                             bool grouped);

}  // namespace lexiseg::ops
