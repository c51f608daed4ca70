// Sums of features under binary masks, on plain arrays.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

// Some pixels and some channels of an image.
struct PoolingTask {
  static constexpr int64_t kChannels = 256;  // at most
  static constexpr int64_t kWords = 16;

  const void* features;  // V; channel c of pixel p at c * channel_stride + p * pixel_stride
  int64_t channel_stride, pixel_stride, channels;
  const void* mask_logits;  // U; pixel p of query q at q * query_stride + p
  int64_t query_stride, queries, pixels;
  float* total;     // [queries, kChannels], zeroed
  float* area;      // [queries], zeroed: pixels with a positive logit
  uint32_t* words;  // [queries, kWords], for the kernel to work in
};

using PoolingKernel = void(const PoolingTask&);

// Named by V, then U.
struct PoolingKernels {
  PoolingKernel *float_float, *bfloat16_float, *bfloat16_bfloat16;
};

}  // namespace lexiseg::ops
