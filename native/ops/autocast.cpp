#include "ops/autocast.h"

#include <ATen/autocast_mode.h>

namespace lexiseg::ops {

LayerArguments in_autocast(const at::Tensor& x, const at::Tensor& weight,
                           const std::optional<at::Tensor>& bias) {
  const auto device = x.device().type();
  if (!at::autocast::is_autocast_enabled(device)) return {x, weight, bias};
  const auto dtype = at::autocast::get_autocast_dtype(device);
  return {at::autocast::cached_cast(dtype, x, device),
          at::autocast::cached_cast(dtype, weight, device),
          at::autocast::cached_cast(dtype, bias, device)};
}

}  // namespace lexiseg::ops
