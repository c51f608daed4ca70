#include "ops/kernels/activation.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

template <typename V>
LEXISEG_INLINE void quick_gelu_vector(V* at) {
  const Floats x = load(at);
  store(at, x * sigmoid(1.702f * x));
}

template <typename V>
void quick_gelu(void* values, int64_t count) {
  V* at = static_cast<V*>(values);
  for (; count >= kLanes; count -= kLanes, at += kLanes) quick_gelu_vector(at);
  V rest[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) rest[i] = at[i];
  quick_gelu_vector(rest);
  for (int64_t i = 0; i < count; ++i) at[i] = rest[i];
}

}  // namespace

extern const ActivationKernels activation_kernels;
const ActivationKernels activation_kernels = {quick_gelu<float>, quick_gelu<BFloat16>};

}  // namespace lexiseg::ops::LEXISEG_ISA
