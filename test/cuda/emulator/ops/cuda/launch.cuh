// Stands in for native/ops/cuda/launch.cuh: kernels run on the CPU, one block after another.
//
// The threads of a block are fibers that take turns in a shuffled order and hand over only at
// barriers and warp operations, so what a kernel does between two barriers must not depend on the
// order of its threads. A barrier that some thread of the block (or of the warp, for warp
// operations) never reaches is an error, as it is on the device.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <math.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "fibers.h"

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
inline dim3 threadIdx{0}, blockIdx{0}, blockDim{1}, gridDim{1};

using std::max;
using std::min;

inline void __syncthreads() { emulator::block_barrier(); }
inline void __syncwarp() { emulator::exchange(0); }
inline int __ffs(unsigned bits) { return bits == 0 ? 0 : std::countr_zero(bits) + 1; }
inline int __popc(unsigned bits) { return std::popcount(bits); }

template <typename Value>
Value __shfl_xor_sync(unsigned, Value value, int mask) {
  static_assert(sizeof(Value) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  const auto lanes = emulator::exchange(bits);
  std::memcpy(&value, &lanes[(threadIdx.x % emulator::kLanes) ^ mask], sizeof value);
  return value;
}

template <typename Predicate>
unsigned select_lanes(const emulator::Lanes& lanes, Predicate predicate) {
  unsigned mask = 0;
  for (int i = 0; i < emulator::kLanes; ++i) mask |= predicate(lanes[i]) ? 1u << i : 0u;
  return mask;
}

inline unsigned __ballot_sync(unsigned, bool vote) {
  return select_lanes(emulator::exchange(vote), [](uint64_t bits) { return bits != 0; });
}

inline unsigned __match_any_sync(unsigned, int value) {
  const auto own = static_cast<uint64_t>(static_cast<uint32_t>(value));
  return select_lanes(emulator::exchange(own), [own](uint64_t bits) { return bits == own; });
}

template <typename Value>
Value atomicAdd(Value* target, std::type_identity_t<Value> value) {
  const Value before = *target;
  *target += value;
  return before;
}
inline void atomicMin(int* target, int value) { *target = std::min(*target, value); }
inline void atomicMax(int* target, int value) { *target = std::max(*target, value); }

namespace lexiseg::ops::cuda {

struct DeviceGuard {
  explicit DeviceGuard(c10::Device) {}
  ~DeviceGuard() {}
};

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;
inline constexpr unsigned kFullWarp = 0xffffffffu;

inline void check_device(const at::Tensor&, const char*) {}

// Few blocks, so that the kernels have to loop.
inline unsigned blocks_for(int64_t items, int threads = kThreads) {
  return static_cast<unsigned>(std::clamp<int64_t>((items + threads - 1) / threads, 1, 3));
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, const Arguments&... arguments) {
  gridDim = grid, blockDim = block;
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      blockIdx = dim3(x, y);
      emulator::run_block(
          block.x, [&](unsigned thread) { threadIdx = dim3(thread); },
          [&] { kernel(arguments...); });
    }
  }
}

template <typename Value>
at::Tensor upload(const std::vector<Value>& values, c10::Device) {
  static_assert(std::is_trivially_copyable_v<Value>);
  const auto bytes = static_cast<int64_t>(values.size() * sizeof(Value));
  auto copy = at::empty({bytes}, at::TensorOptions(at::kByte));
  if (bytes > 0) std::memcpy(copy.mutable_data_ptr(), values.data(), bytes);
  return copy;
}

}  // namespace lexiseg::ops::cuda

// Tensors are on the CPU here, so a check that would refuse those of a device would pass unseen.
#include "ops/geometry.h"
#pragma GCC poison checked_grid check_tensor
