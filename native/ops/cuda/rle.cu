#include "ops/cuda/rle.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/nonzero.h>

#include <limits>

#include "ops/cuda/launch.cuh"

namespace lexiseg::ops::cuda {

std::vector<std::vector<int32_t>> run_lengths(const at::Tensor& masks) {
  const int64_t count = masks.size(0), pixels = masks.size(1);
  std::vector<std::vector<int32_t>> runs(count);
  if (pixels == 0) {
    for (auto& run : runs) run.push_back(0);
    return runs;
  }
  auto changes = masks.clone();
  changes.narrow(1, 1, pixels - 1).bitwise_xor_(masks.narrow(1, 0, pixels - 1));
  const auto positions = at::nonzero(changes.view({-1})).cpu().contiguous();
  const int64_t* next = positions.const_data_ptr<int64_t>();
  const int64_t* const end = next + positions.numel();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t mask_end = (i + 1) * pixels;
    int64_t run_start = i * pixels;
    for (; next != end && *next < mask_end; run_start = *next++) {
      runs[i].push_back(static_cast<int32_t>(*next - run_start));
    }
    runs[i].push_back(static_cast<int32_t>(mask_end - run_start));
  }
  return runs;
}

std::tuple<at::Tensor, at::Tensor> pack_runs(const std::vector<std::vector<int32_t>>& runs) {
  auto offsets = at::empty({static_cast<int64_t>(runs.size()) + 1}, at::kLong);
  auto* offset = offsets.mutable_data_ptr<int64_t>();
  offset[0] = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    offset[i + 1] = offset[i] + static_cast<int64_t>(runs[i].size());
  }
  auto counts = at::empty({offset[runs.size()]}, at::kInt);
  for (size_t i = 0; i < runs.size(); ++i) {
    std::copy(runs[i].begin(), runs[i].end(), counts.mutable_data_ptr<int32_t>() + offset[i]);
  }
  return {counts, offsets};
}

std::tuple<at::Tensor, at::Tensor> rle_encode(const at::Tensor& masks) {
  check_device(masks, "masks");
  TORCH_CHECK(
      masks.dim() == 3 && (masks.scalar_type() == at::kByte || masks.scalar_type() == at::kBool),
      "Expected bool or uint8 [N, H, W] for masks but received ", masks.scalar_type(), " ",
      masks.sizes());
  const int64_t count = masks.size(0), pixels = masks.size(1) * masks.size(2);
  TORCH_CHECK(pixels <= std::numeric_limits<int32_t>::max(),
              "Expected masks of fewer than 2^31 pixels but received ", masks.sizes());
  const DeviceGuard guard(masks.device());
  const int64_t chunk = std::max<int64_t>(1, kRleChunkBytes / std::max<int64_t>(1, pixels));
  std::vector<std::vector<int32_t>> runs;
  for (int64_t start = 0; start < count; start += chunk) {
    const int64_t size = std::min(chunk, count - start);
    const auto columns = masks.narrow(0, start, size).ne(0).to(at::kByte).transpose(1, 2);
    for (auto& run : run_lengths(columns.reshape({size, pixels}))) runs.push_back(std::move(run));
  }
  return pack_runs(runs);
}

}  // namespace lexiseg::ops::cuda
