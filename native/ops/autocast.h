// What autocast does to the arguments of ATen's own products, for ours.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lexiseg::ops {

struct LayerArguments {
  at::Tensor x, weight;
  std::optional<at::Tensor> bias;
};

// The same in autocast's dtype where it is enabled on the device of x; gradients flow through, and
// a weight is cast once within its scope.
LayerArguments in_autocast(const at::Tensor& x, const at::Tensor& weight,
                           const std::optional<at::Tensor>& bias);

}  // namespace lexiseg::ops
