// Mask logits on a coarse grid, read at the pixels of the output without resizing them first.
#pragma once

#include <utility>

#include "ops/cuda/launch.cuh"
#include "ops/geometry.h"
#include "ops/taps.h"

namespace lexiseg::ops::cuda {

__device__ inline float sigmoid(float logit) { return 1.0f / (1.0f + expf(-logit)); }

// NaN counts as certainly outside, and infinite logits as certain, so that they can be blended.
__device__ inline float tamed(float logit) { return fminf(fmaxf(logit, -kCertain), kCertain); }

// Taps with weight 0 are not read.
__device__ inline float sample(const float* plane, int64_t width, const Taps& row,
                               const Taps& column) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kMaxTaps; ++i) {
    if (row.weight[i] == 0) continue;
    const float* line = plane + row.index[i] * width;
    float across = 0;
#pragma unroll
    for (int j = 0; j < kMaxTaps; ++j) {
      if (column.weight[j] != 0) across += column.weight[j] * tamed(line[column.index[j]]);
    }
    sum += row.weight[i] * across;
  }
  return sum;
}

// Mask logits [Q, h, w] on the device.
struct MaskGrid {
  const float* logits;
  int64_t queries, height, width;

  __device__ const float* plane(int64_t query) const { return logits + query * height * width; }
};

inline MaskGrid mask_grid(const at::Tensor& contiguous_logits) {
  return {contiguous_logits.const_data_ptr<float>(), contiguous_logits.size(0),
          contiguous_logits.size(1), contiguous_logits.size(2)};
}

// The taps of both axes of one resampling, on the device.
struct TapTables {
  const Taps* rows;
  const Taps* columns;
};

// Owns the memory that its tables point into.
class DeviceTaps {
 public:
  DeviceTaps(std::vector<Taps> rows, const std::vector<Taps>& columns, c10::Device device)
      : row_count_(rows.size()) {
    rows.insert(rows.end(), columns.begin(), columns.end());
    bytes_ = upload(rows, device);
  }

  // Mask logits [Q, h, w] to the padded network input, its valid part, the output, in one step.
  static DeviceTaps from_grid_to_output(const at::Tensor& logits, const Geometry& g) {
    return {compose(bilinear_taps(g.valid_height, g.height),
                    bilinear_taps(logits.size(1), g.network_height)),
            compose(bilinear_taps(g.valid_width, g.width),
                    bilinear_taps(logits.size(2), g.network_width)),
            logits.device()};
  }

  TapTables tables() const {
    const auto* taps = static_cast<const Taps*>(bytes_.const_data_ptr());
    return {taps, taps + row_count_};
  }

 private:
  size_t row_count_;
  at::Tensor bytes_;
};

}  // namespace lexiseg::ops::cuda
