#include "ops/kernels/depthwise.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

constexpr int64_t kSide = DepthwiseTask::kSide;
constexpr int64_t kReach = kSide / 2;
constexpr int64_t kChannels = DepthwiseTask::kChannels;
constexpr int64_t kVectors = kChannels / kLanes;

// One row of pixels as float32: [vector of channels][pixel][lane]; missing channels are zeros.
template <typename V>
LEXISEG_INLINE void widen_row(const V* from, const DepthwiseTask& task, int64_t pixels, float* to) {
  V own[kChannels] = {};
  for (int64_t p = 0; p < task.width; ++p, from += task.pixel_stride) {
    const V* pixel = from;
    if (task.channels < kChannels) {
      for (int64_t c = 0; c < task.channels; ++c) own[c] = from[c];
      pixel = own;
    }
    for (int64_t v = 0; v < kVectors; ++v) {
      store(to + (v * pixels + p) * kLanes, load(pixel + v * kLanes));
    }
  }
}

// sums[k] += x * grad over a row, the weights k pixels right of the leftmost.
LEXISEG_INLINE void add_row(const float* x, const float* grad, int64_t width, Floats* sums) {
  for (int64_t p = 0; p < width; ++p) {
    const Floats g = load(grad + p * kLanes);
#pragma GCC unroll 7
    for (int64_t k = 0; k < kSide; ++k) sums[k] += g * load(x + (p + k) * kLanes);
  }
}

// The sums so far of the weights of one row, for one vector of channels.
LEXISEG_INLINE void add_to(const DepthwiseTask& task, int64_t row, int64_t vector,
                           const Floats* sums) {
  const int64_t first = vector * kLanes;
  for (int64_t k = 0; k < kSide; ++k) {
    float* out = task.out + (row * kSide + k) * task.pixel_stride + first;
    const int64_t count = task.channels - first < kLanes ? task.channels - first : kLanes;
    if (count == kLanes) {
      store(out, load(out) + sums[k]);
    } else {
      for (int64_t c = 0; c < count; ++c) out[c] += sums[k][c];
    }
  }
}

template <typename V>
void weights(const DepthwiseTask& task) {
  const int64_t padded = task.width + kSide - 1, row_floats = padded * kChannels;
  const V* x = static_cast<const V*>(task.x);
  const V* grad = static_cast<const V*>(task.grad);
  const int64_t row_stride = task.width * task.pixel_stride;
  float* grad_row = task.rows + kSide * row_floats;
  for (int64_t i = 0; i < kSide * row_floats; ++i) task.rows[i] = 0;
  // Row y of x lies at y % kSide, kReach pixels in.
  const auto fetch = [&](int64_t y) {
    float* to = task.rows + y % kSide * row_floats + kReach * kLanes;
    widen_row(x + y * row_stride, task, padded, to);
  };
  for (int64_t y = 0; y < kReach && y < task.height; ++y) fetch(y);
  for (int64_t y = 0; y < task.height; ++y) {
    if (y + kReach < task.height) fetch(y + kReach);
    widen_row(grad + y * row_stride, task, task.width, grad_row);
    for (int64_t row = 0; row < kSide; ++row) {
      const int64_t from = y + row - kReach;
      if (from < 0 || from >= task.height) continue;
      const float* x_row = task.rows + from % kSide * row_floats;
      for (int64_t v = 0; v < kVectors && v * kLanes < task.channels; ++v) {
        Floats sums[kSide] = {};
        add_row(x_row + v * padded * kLanes, grad_row + v * task.width * kLanes, task.width, sums);
        add_to(task, row, v, sums);
      }
    }
  }
}

}  // namespace

extern const DepthwiseKernels depthwise_kernels;
const DepthwiseKernels depthwise_kernels = {weights<float>, weights<BFloat16>};

}  // namespace lexiseg::ops::LEXISEG_ISA
