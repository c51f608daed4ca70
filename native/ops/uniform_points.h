// Points that follow from seeds alone, whatever the batch, the threads or the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lexiseg::ops {

// seeds: int64 [N]. Returns float32 [N, count, 2] on their device, each coordinate in [0, 1): 24
// bits of SplitMix64 over a counter, the same numbers as models/.../sample_points.py states.
at::Tensor uniform_points(const at::Tensor& seeds, int64_t count);

}  // namespace lexiseg::ops
