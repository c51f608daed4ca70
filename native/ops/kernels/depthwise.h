// The gradient of a depthwise convolution's weights, on plain arrays.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

// One image and some of its channels; stride 1, as much padding as keeps the size.
struct DepthwiseTask {
  static constexpr int64_t kSide = 7;       // of the weights
  static constexpr int64_t kChannels = 32;  // of a task

  const void* x;     // V [height, width, channels of all tasks]
  const void* grad;  // V, as x: of what the convolution gave
  int64_t height, width;
  int64_t pixel_stride;  // channels of all tasks
  int64_t channels;      // of this task, at most kChannels
  float* rows;           // for the kernel to work in, row_floats()
  float* out;            // [kSide * kSide, pixel_stride], of this task's channels: sums go here

  // The rows that the weights reach, with zeros at both ends, and one of the gradient.
  static constexpr int64_t row_floats(int64_t width) {
    return (kSide * (width + kSide - 1) + width) * kChannels;
  }
};

using DepthwiseKernel = void(const DepthwiseTask&);

// By V.
struct DepthwiseKernels {
  DepthwiseKernel *weights_float, *weights_bfloat16;
};

}  // namespace lexiseg::ops
