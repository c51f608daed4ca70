// The CUDA kernels of the ops, given to the dispatcher once per process. The schemas come from the
// ops library, which this one needs and which is therefore registered before it.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <exception>
#include <string>

#include "ops/cuda/label_map.h"
#include "ops/cuda/ms_deform_attn.h"
#include "ops/cuda/nccl_sums.h"
#include "ops/cuda/panoptic_merge.h"
#include "ops/cuda/rle.h"
#include "ops/cuda/select_instances.h"
#include "ops/register.h"

namespace lexiseg::ops::cuda {
namespace {

using at::Tensor;
using Pair = std::tuple<Tensor, Tensor>;
using Triple = std::tuple<Tensor, Tensor, Tensor>;

Tensor attend(const Tensor& value, at::IntArrayRef spatial_shapes, const Tensor& reference_points,
              const Tensor& sampling_offsets, const Tensor& attention_logits) {
  return ms_deform_attn(
      {value, spatial_shapes, reference_points, sampling_offsets, attention_logits});
}

Triple attend_backward(const Tensor& grad, const Tensor& value, at::IntArrayRef spatial_shapes,
                       const Tensor& reference_points, const Tensor& sampling_offsets,
                       const Tensor& attention_logits) {
  auto gradients = ms_deform_attn_backward(
      grad, {value, spatial_shapes, reference_points, sampling_offsets, attention_logits});
  return {gradients.value, gradients.sampling_offsets, gradients.attention_logits};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> merge(
    const Tensor& mask_logits, const Tensor& scores, const Tensor& labels, const Tensor& thing,
    at::IntArrayRef geometry, double object_mask_threshold, double overlap_threshold) {
  return panoptic_merge(
      {mask_logits, scores, labels, thing, geometry, object_mask_threshold, overlap_threshold});
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> select_best(
    const Tensor& mask_logits, const Tensor& class_probs, const Tensor& thing,
    at::IntArrayRef geometry, int64_t top_k, bool things_only) {
  return select_instances({mask_logits, class_probs, thing, geometry, top_k, things_only});
}

template <typename Signature>
c10::TypedOperatorHandle<Signature> op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// The assignment is one chain of decisions over a small matrix: it runs on the CPU, and the host
// waits for the costs.
Pair assign(const Tensor& cost) {
  const auto [rows, columns] =
      op<Pair(const Tensor&)>("lexiseg::linear_sum_assignment").call(cost.cpu());
  return {rows.to(cost.device()), columns.to(cost.device())};
}

// Run lengths are read one by one: they are decoded on the CPU and the masks go to the device.
Tensor decode(const Tensor& counts, const Tensor& offsets, int64_t height, int64_t width) {
  using Signature = Tensor(const Tensor&, const Tensor&, int64_t, int64_t);
  const auto masks =
      op<Signature>("lexiseg::rle_decode").call(counts.cpu(), offsets.cpu(), height, width);
  return masks.to(counts.is_cuda() ? counts.device() : offsets.device());
}

bool already_registered() {
  const auto found = c10::Dispatcher::singleton().findSchema({"lexiseg::label_map", ""});
  return found && found->hasKernelForDispatchKey(c10::DispatchKey::CUDA);
}

// What kept the kernels from being registered; empty when they are.
std::string register_kernels() {
  // Our kernels fit our schemas only.
  if (*ops::registration_error() != '\0') return ops::registration_error();
  if (already_registered()) return "";
  try {
    // Never destroyed: a dispatcher torn down at exit must not find its kernels gone.
    auto& library = *new torch::Library(torch::Library::IMPL, "lexiseg", c10::DispatchKey::CUDA,
                                        __FILE__, __LINE__);
    library.impl("ms_deform_attn", TORCH_FN(attend));
    library.impl("ms_deform_attn_backward", TORCH_FN(attend_backward));
    library.impl("label_map", TORCH_FN(label_map));
    library.impl("panoptic_merge", TORCH_FN(merge));
    library.impl("select_instances", TORCH_FN(select_best));
    library.impl("linear_sum_assignment", TORCH_FN(assign));
    library.impl("rle_encode", TORCH_FN(rle_encode));
    library.impl("rle_decode", TORCH_FN(decode));
    offer_nccl_sums();
    return "";
  } catch (const std::exception& error) {
    // This runs while the library is being loaded, where an exception would end the process. The
    // ops stay without kernels for CUDA, and a call on CUDA says so.
    return error.what();
  }
}

const std::string& registration() {
  static const auto& error = *new std::string(register_kernels());
  return error;
}

// Python's torch.ops.load_library and the loader of Node only open the library.
[[maybe_unused]] const bool registered_at_load = registration().empty();

}  // namespace
}  // namespace lexiseg::ops::cuda

// Why the kernels are not registered, or an empty string. For whoever loaded this library.
extern "C" __attribute__((visibility("default"))) const char*
lexiseg_ops_cuda_registration_error() {
  return lexiseg::ops::cuda::registration().c_str();
}
