// The CUDA ops compiled for the CPU through the emulator, as torch.ops.lexiseg_emulated.*.
#include <torch/library.h>

#include "ops/cuda/label_map.cu"
#include "ops/cuda/ms_deform_attn.cu"
#include "ops/cuda/panoptic_merge.cu"
#include "ops/cuda/rle.cu"
#include "ops/cuda/select_instances.cu"

namespace {

namespace cuda = lexiseg::ops::cuda;
using at::Tensor;

Tensor attend(const Tensor& value, at::IntArrayRef spatial_shapes, const Tensor& reference_points,
              const Tensor& sampling_offsets, const Tensor& attention_logits) {
  return cuda::ms_deform_attn(
      {value, spatial_shapes, reference_points, sampling_offsets, attention_logits});
}

std::tuple<Tensor, Tensor, Tensor> attend_backward(const Tensor& grad, const Tensor& value,
                                                   at::IntArrayRef spatial_shapes,
                                                   const Tensor& reference_points,
                                                   const Tensor& sampling_offsets,
                                                   const Tensor& attention_logits) {
  auto gradients = cuda::ms_deform_attn_backward(
      grad, {value, spatial_shapes, reference_points, sampling_offsets, attention_logits});
  return {gradients.value, gradients.sampling_offsets, gradients.attention_logits};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> merge(
    const Tensor& mask_logits, const Tensor& scores, const Tensor& labels, const Tensor& thing,
    at::IntArrayRef geometry, double object_mask_threshold, double overlap_threshold) {
  return cuda::panoptic_merge(
      {mask_logits, scores, labels, thing, geometry, object_mask_threshold, overlap_threshold});
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> select_best(
    const Tensor& mask_logits, const Tensor& class_probs, const Tensor& thing,
    at::IntArrayRef geometry, int64_t top_k, bool things_only) {
  return cuda::select_instances({mask_logits, class_probs, thing, geometry, top_k, things_only});
}

}  // namespace

TORCH_LIBRARY(lexiseg_emulated, library) {
  library.def("ms_deform_attn", attend);
  library.def("ms_deform_attn_backward", attend_backward);
  library.def("label_map", cuda::label_map);
  library.def("panoptic_merge", merge);
  library.def("select_instances", select_best);
  library.def("rle_encode", cuda::rle_encode);
}
