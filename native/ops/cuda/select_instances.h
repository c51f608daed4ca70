// lexiseg::select_instances on CUDA.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace lexiseg::ops::cuda {

struct InstanceArguments {
  const at::Tensor& mask_logits;  // float32 [Q, h, w]
  const at::Tensor& class_probs;  // float32 [Q, K], void dropped
  const at::Tensor& thing;        // bool [K]
  at::IntArrayRef geometry;
  int64_t top_k;
  bool things_only;
};

// Returns, on the CPU: counts int32 [R], offsets int64 [N + 1], classes int64 [N], scores
// float32 [N], areas int64 [N], boxes int32 [N, 4]. Masks at output size pass in chunks of 32 MB.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> select_instances(
    const InstanceArguments& arguments);

}  // namespace lexiseg::ops::cuda
