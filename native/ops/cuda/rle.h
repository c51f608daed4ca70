// COCO run lengths of masks on CUDA: the changes are found on the device, the runs on the host.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <tuple>
#include <vector>

namespace lexiseg::ops::cuda {

// Bytes of masks that are encoded at once.
inline constexpr int64_t kRleChunkBytes = int64_t{32} << 20;

// masks: uint8 [N, P] of 0 and 1 on the device, column-major. Returns the run lengths of each,
// zeros first; they add up to P. The host waits once.
std::vector<std::vector<int32_t>> run_lengths(const at::Tensor& masks);

// masks: bool or uint8 [N, H, W] on the device, non-zero is inside. Returns, on the CPU, counts
// int32 [R] and offsets int64 [N + 1] into them.
std::tuple<at::Tensor, at::Tensor> rle_encode(const at::Tensor& masks);

// Run lengths one after another, as rle_encode returns them.
std::tuple<at::Tensor, at::Tensor> pack_runs(const std::vector<std::vector<int32_t>>& runs);

}  // namespace lexiseg::ops::cuda
