// Activations in place, on plain arrays.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

using ActivationKernel = void(void* values, int64_t count);

// x * sigmoid(1.702 x), by the type of the values.
struct ActivationKernels {
  ActivationKernel *quick_gelu_float, *quick_gelu_bfloat16;
};

}  // namespace lexiseg::ops
