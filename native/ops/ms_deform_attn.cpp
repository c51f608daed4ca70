#include "ops/ms_deform_attn.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "ops/check.h"
#include "ops/kernels/kernels.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

SamplingPlan checked_plan(at::IntArrayRef spatial_shapes, int64_t points, int64_t tokens) {
  LEXISEG_EXPECT(!spatial_shapes.empty() && spatial_shapes.size() % 2 == 0,
                 "one height and one width for each level", "spatial_shapes", spatial_shapes);
  const auto levels = static_cast<int64_t>(spatial_shapes.size() / 2);
  SamplingPlan plan{};
  plan.count = checked_product(levels, points, kMaxSamplingPoints, "sampling points per head");
  int64_t first = 0;
  for (int64_t level = 0; level < levels; ++level) {
    const int64_t height = spatial_shapes[2 * level], width = spatial_shapes[2 * level + 1];
    LEXISEG_EXPECT(height >= 1 && width >= 1, "sizes of at least 1", "spatial_shapes",
                   spatial_shapes);
    const int64_t area =
        checked_product(height, width, std::numeric_limits<int32_t>::max(), "spatial_shapes");
    LEXISEG_EXPECT(area <= tokens - first, c10::str("sizes that add up to ", tokens, " tokens"),
                   "spatial_shapes", spatial_shapes);
    for (int64_t n = level * points; n < (level + 1) * points; ++n) {
      plan.first_token[n] = static_cast<int32_t>(first);
      plan.height[n] = static_cast<int32_t>(height);
      plan.width[n] = static_cast<int32_t>(width);
    }
    first += area;
  }
  LEXISEG_EXPECT(first == tokens, c10::str("sizes that add up to ", tokens, " tokens"),
                 "spatial_shapes", spatial_shapes);
  return plan;
}

// The arguments checked, contiguous, and in dtypes that a kernel exists for.
struct Arguments {
  Tensor value, reference, offsets, logits;
  SamplingPlan plan;
  int64_t batch;
  DeformableSizes sizes;

  Arguments(const Tensor& value_in, at::IntArrayRef spatial_shapes, const Tensor& reference_in,
            const Tensor& offsets_in, const Tensor& logits_in) {
    check_tensor(value_in, "value", {at::kFloat, at::kBFloat16, at::kDouble}, 4);
    check_tensor(reference_in, "reference_points", {at::kFloat, at::kDouble}, 2);
    check_tensor(offsets_in, "sampling_offsets", {at::kFloat, at::kBFloat16, at::kDouble}, 6);
    check_tensor(logits_in, "attention_logits", {at::kFloat, at::kBFloat16, at::kDouble}, 4);
    batch = value_in.size(0);
    sizes = {value_in.size(1), value_in.size(2), value_in.size(3), offsets_in.size(1)};
    const int64_t points = offsets_in.size(4);
    LEXISEG_EXPECT(sizes.tokens <= std::numeric_limits<int32_t>::max(), "at most 2^31 - 1 tokens",
                   "value", describe(value_in));
    LEXISEG_EXPECT(points >= 1, "at least one point", "sampling_offsets", describe(offsets_in));
    plan = checked_plan(spatial_shapes, points, sizes.tokens);
    check_sizes(offsets_in, "sampling_offsets",
                {batch, sizes.queries, sizes.heads, plan.count / points, points, 2});
    check_sizes(logits_in, "attention_logits", {batch, sizes.queries, sizes.heads, plan.count});
    check_sizes(reference_in, "reference_points", {sizes.queries, 2});
    const bool is_double = value_in.scalar_type() == at::kDouble;
    const bool is_half = value_in.scalar_type() == at::kBFloat16 &&
                         offsets_in.scalar_type() == at::kBFloat16 &&
                         logits_in.scalar_type() == at::kBFloat16;
    const auto points_dtype = is_double ? at::kDouble : is_half ? at::kBFloat16 : at::kFloat;
    value = value_in.contiguous();
    reference = reference_in.to(is_double ? at::kDouble : at::kFloat).contiguous();
    offsets = offsets_in.to(points_dtype).contiguous();
    logits = logits_in.to(points_dtype).contiguous();
  }

  DeformableInput input() const {
    return {value.const_data_ptr(),
            offsets.const_data_ptr(),
            logits.const_data_ptr(),
            reference.const_data_ptr(),
            batch,
            sizes,
            &plan};
  }

  bool is_empty() const {
    return batch == 0 || sizes.queries == 0 || sizes.heads == 0 || sizes.head_width == 0;
  }
};

DeformableForward* forward_kernel(const Arguments& a) {
  const DeformableKernels& table = kernels().deformable;
  if (a.value.scalar_type() == at::kDouble) return table.double_double;
  if (a.value.scalar_type() == at::kFloat) return table.float_float;
  return a.offsets.scalar_type() == at::kFloat ? table.bfloat16_float : table.bfloat16_bfloat16;
}

DeformableBackward* backward_kernel(const Arguments& a) {
  const DeformableKernels& table = kernels().deformable;
  if (a.value.scalar_type() == at::kDouble) return table.double_double_backward;
  if (a.value.scalar_type() == at::kFloat) return table.float_float_backward;
  return a.offsets.scalar_type() == at::kFloat ? table.bfloat16_float_backward
                                               : table.bfloat16_bfloat16_backward;
}

}  // namespace

Tensor ms_deform_attn(const Tensor& value, at::IntArrayRef spatial_shapes,
                      const Tensor& reference_points, const Tensor& sampling_offsets,
                      const Tensor& attention_logits) {
  const Arguments a(value, spatial_shapes, reference_points, sampling_offsets, attention_logits);
  auto out =
      at::empty({a.batch, a.sizes.queries, a.sizes.heads * a.sizes.head_width}, a.value.options());
  if (a.is_empty()) return out;
  const DeformableInput input = a.input();
  DeformableForward* kernel = forward_kernel(a);
  void* to = out.mutable_data_ptr();
  constexpr int64_t kGrain = 256;
  at::parallel_for(0, a.batch * a.sizes.heads * a.sizes.queries, kGrain,
                   [&](int64_t begin, int64_t end) { kernel(input, to, begin, end); });
  return out;
}

std::tuple<Tensor, Tensor, Tensor> ms_deform_attn_backward(const Tensor& grad, const Tensor& value,
                                                           at::IntArrayRef spatial_shapes,
                                                           const Tensor& reference_points,
                                                           const Tensor& sampling_offsets,
                                                           const Tensor& attention_logits) {
  const Arguments a(value, spatial_shapes, reference_points, sampling_offsets, attention_logits);
  check_tensor(grad, "grad", {a.value.scalar_type()}, 3);
  check_sizes(grad, "grad", {a.batch, a.sizes.queries, a.sizes.heads * a.sizes.head_width});
  const auto grads = grad.contiguous();
  const bool is_double = a.value.scalar_type() == at::kDouble;
  auto value_grad =
      at::zeros(a.value.sizes(), a.value.options().dtype(is_double ? at::kDouble : at::kFloat));
  auto offsets_grad = at::zeros(a.offsets.sizes(), a.offsets.options());
  auto logits_grad = at::zeros(a.logits.sizes(), a.logits.options());
  if (!a.is_empty()) {
    const DeformableInput input = a.input();
    const DeformableGradient gradient{grads.const_data_ptr(), value_grad.mutable_data_ptr(),
                                      offsets_grad.mutable_data_ptr(),
                                      logits_grad.mutable_data_ptr()};
    DeformableBackward* kernel = backward_kernel(a);
    at::parallel_for(0, a.batch * a.sizes.heads, 1,
                     [&](int64_t begin, int64_t end) { kernel(input, gradient, begin, end); });
  }
  return {value_grad.to(value.scalar_type()), offsets_grad.to(sampling_offsets.scalar_type()),
          logits_grad.to(attention_logits.scalar_type())};
}

}  // namespace lexiseg::ops
