#include "ops/kernels/activation.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

constexpr int64_t kBlock = 64;

LEXISEG_INLINE void quick_gelu_block(float* block) {
  for (int64_t i = 0; i < kBlock; i += kLanes) {
    const Floats x = load(block + i);
    store(block + i, x * sigmoid(1.702f * x));
  }
}

template <typename V>
void quick_gelu(void* values, int64_t count) {
  V* at = static_cast<V*>(values);
  float block[kBlock] = {};
  for (; count >= kBlock; count -= kBlock, at += kBlock) {
    for (int64_t i = 0; i < kBlock; ++i) block[i] = widen(at[i]);
    quick_gelu_block(block);
    for (int64_t i = 0; i < kBlock; ++i) narrow(block[i], at + i);
  }
  for (int64_t i = 0; i < count; ++i) block[i] = widen(at[i]);
  quick_gelu_block(block);
  for (int64_t i = 0; i < count; ++i) narrow(block[i], at + i);
}

}  // namespace

extern const ActivationKernels activation_kernels;
const ActivationKernels activation_kernels = {quick_gelu<float>, quick_gelu<BFloat16>};

}  // namespace lexiseg::ops::LEXISEG_ISA
