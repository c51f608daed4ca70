#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/ms_deform_attn.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

class DeformableAttention : public torch::autograd::Function<DeformableAttention> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& value,
                        const std::vector<int64_t>& spatial_shapes, const Tensor& reference_points,
                        const Tensor& sampling_offsets, const Tensor& attention_logits) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({value, reference_points, sampling_offsets, attention_logits});
    context->saved_data["spatial_shapes"] = spatial_shapes;
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("lexiseg::ms_deform_attn", "")
                               .typed<decltype(ms_deform_attn)>();
    return op.call(value, spatial_shapes, reference_points, sampling_offsets, attention_logits);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("lexiseg::ms_deform_attn_backward", "")
                               .typed<decltype(ms_deform_attn_backward)>();
    const auto saved = context->get_saved_variables();
    const auto [value, offsets, logits] =
        op.call(grads[0], saved[0], context->saved_data["spatial_shapes"].toIntVector(), saved[1],
                saved[2], saved[3]);
    return {value, Tensor(), Tensor(), offsets, logits};
  }
};

}  // namespace

Tensor ms_deform_attn_autograd(const Tensor& value, at::IntArrayRef spatial_shapes,
                               const Tensor& reference_points, const Tensor& sampling_offsets,
                               const Tensor& attention_logits) {
  return DeformableAttention::apply(value, spatial_shapes.vec(), reference_points, sampling_offsets,
                                    attention_logits);
}

Tensor ms_deform_attn_meta(const Tensor& value, at::IntArrayRef /*spatial_shapes*/,
                           const Tensor& /*reference_points*/, const Tensor& sampling_offsets,
                           const Tensor& /*attention_logits*/) {
  TORCH_CHECK(value.dim() == 4, "Expected 4 dimensions for value but received ", value.sizes());
  TORCH_CHECK(sampling_offsets.dim() == 6,
              "Expected 6 dimensions for sampling_offsets but received ", sampling_offsets.sizes());
  return value.new_empty_symint(
      {value.sym_size(0), sampling_offsets.sym_size(1), value.sym_size(2) * value.sym_size(3)});
}

std::tuple<Tensor, Tensor, Tensor> ms_deform_attn_backward_meta(const Tensor& /*grad*/,
                                                                const Tensor& value,
                                                                at::IntArrayRef /*spatial_shapes*/,
                                                                const Tensor& /*reference_points*/,
                                                                const Tensor& sampling_offsets,
                                                                const Tensor& attention_logits) {
  return {at::empty_like(value, at::MemoryFormat::Contiguous),
          at::empty_like(sampling_offsets, at::MemoryFormat::Contiguous),
          at::empty_like(attention_logits, at::MemoryFormat::Contiguous)};
}

}  // namespace lexiseg::ops
