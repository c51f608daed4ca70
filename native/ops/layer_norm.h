// Layer norm of the forward pass, with the addition before it.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lexiseg::ops {

// Norm over the last dimension of x, or of x + added. x, added: float32|bfloat16 [..., C]; weight,
// bias [C]. Returns the shape and dtype of x, contiguous. Where a gradient is asked for, on other
// devices and for widths that no kernel takes, the ATen composition runs instead.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps, const std::optional<at::Tensor>& added);

// target = residual + scale * x; rows [N, C], scale [C], on the CPU and without gradients.
void add_scaled(const at::Tensor& target, const at::Tensor& residual, const at::Tensor& x,
                const at::Tensor& scale);

}  // namespace lexiseg::ops
