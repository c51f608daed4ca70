// Dense layers of the forward pass, on the fastest GEMM that this build of LibTorch carries.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace lexiseg::ops {

// x: float32|bfloat16 [..., C]; weight [N, C]; bias [N]; activation "none", "relu", "gelu" (exact)
// or "quick_gelu", x * sigmoid(1.702 x). Returns [..., N] in x's dtype. Where a gradient is asked
// for, the ATen composition runs instead.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                  const std::optional<at::Tensor>& bias, std::string_view activation);

// ConvNeXt's pointwise half: residual + gamma * fc2(gelu(fc1(layer_norm(x)))), channels last.
// x, residual: float32|bfloat16 [..., C]; fc1_weight [H, C]; fc2_weight [C, H]; gamma [C].
// Rows go through in blocks that stay in cache, so the [..., H] activations never reach memory.
at::Tensor inverted_bottleneck(const at::Tensor& x, const at::Tensor& residual,
                               const at::Tensor& norm_weight, const at::Tensor& norm_bias,
                               double norm_eps, const at::Tensor& fc1_weight,
                               const at::Tensor& fc1_bias, const at::Tensor& fc2_weight,
                               const at::Tensor& fc2_bias, const at::Tensor& gamma);

}  // namespace lexiseg::ops
