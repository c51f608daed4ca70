// How the kernels meet the CUDA runtime: stream, device, grid size, small copies to the device.
// Everything else in this folder is plain C++ and kernel code.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace lexiseg::ops::cuda {

using DeviceGuard = c10::cuda::CUDAGuard;

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;
inline constexpr unsigned kFullWarp = 0xffffffffu;

inline void check_device(const at::Tensor& tensor, const char* name) {
  TORCH_CHECK(tensor.is_cuda(), "Expected a CUDA tensor for ", name, " but received one on ",
              tensor.device());
}

// Blocks of `threads` that cover `items` once; kernels loop when there are more items than that.
inline unsigned blocks_for(int64_t items, int threads = kThreads) {
  constexpr int64_t kMaxBlocks = 1 << 20;
  return static_cast<unsigned>(std::clamp<int64_t>((items + threads - 1) / threads, 1, kMaxBlocks));
}

// Queues a kernel on the current stream of the current device; arguments are passed by value.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, const Arguments&... arguments) {
  kernel<<<grid, block, 0, c10::cuda::getCurrentCUDAStream()>>>(arguments...);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

// A copy of `values` on `device` as bytes. It goes through pinned memory, so the host does not
// wait, and the host allocator keeps the source until the copy is done.
template <typename Value>
at::Tensor upload(const std::vector<Value>& values, c10::Device device) {
  static_assert(std::is_trivially_copyable_v<Value>);
  const auto bytes = static_cast<int64_t>(values.size() * sizeof(Value));
  if (bytes == 0) return at::empty({0}, at::TensorOptions(at::kByte).device(device));
  auto staged = at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  std::memcpy(staged.mutable_data_ptr(), values.data(), bytes);
  return staged.to(device, /*non_blocking=*/true);
}

}  // namespace lexiseg::ops::cuda
