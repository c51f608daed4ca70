#include "ops/layer_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>

#include <algorithm>

#include "ops/check.h"
#include "ops/kernels/kernels.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

// Values that are worth a thread.
constexpr int64_t kGrain = 1 << 14;

// Whether a kernel takes rows of `first` and what goes with them.
bool fits(const Tensor& first, at::ArrayRef<Tensor> others) {
  const int64_t width = first.dim() > 0 ? first.size(-1) : 0;
  const bool dtype_fits = first.scalar_type() == at::kFloat || first.scalar_type() == at::kBFloat16;
  return first.device().is_cpu() && dtype_fits && first.numel() > 0 && width % kNormStep == 0 &&
         width <= kMaxNormWidth && std::all_of(others.begin(), others.end(), [&](const Tensor& t) {
           return t.device().is_cpu() && t.scalar_type() == first.scalar_type();
         });
}

int64_t rows_worth_a_thread(int64_t width) { return std::max<int64_t>(kGrain / width, 1); }

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                  const std::optional<Tensor>& added) {
  LEXISEG_EXPECT(x.dim() > 0, "at least one dimension", "x", describe(x));
  const int64_t width = x.size(-1);
  check_sizes(weight, "weight", {width});
  check_sizes(bias, "bias", {width});
  const Tensor& other = added ? *added : x;
  if (wants_gradient({x, weight, bias, other}) || !fits(x, {weight, bias, other}) ||
      other.sizes() != x.sizes()) {
    return at::layer_norm(added ? at::add(x, *added) : x, {width}, weight, bias, eps);
  }
  const Tensor rows = x.contiguous(), more = added ? added->contiguous() : Tensor();
  const Tensor scale = weight.contiguous(), shift = bias.contiguous();
  Tensor out = at::empty(x.sizes(), x.options());
  const LayerNormTask task{rows.const_data_ptr(),  added ? more.const_data_ptr() : nullptr,
                           scale.const_data_ptr(), shift.const_data_ptr(),
                           out.mutable_data_ptr(), width,
                           static_cast<float>(eps)};
  const LayerNormKernels& table = kernels().layer_norm;
  LayerNormKernel* kernel = x.scalar_type() == at::kFloat ? table.norm_float : table.norm_bfloat16;
  at::parallel_for(0, x.numel() / width, rows_worth_a_thread(width),
                   [&](int64_t begin, int64_t end) { kernel(task, begin, end); });
  return out;
}

void add_scaled(const Tensor& target, const Tensor& residual, const Tensor& x,
                const Tensor& scale) {
  if (!fits(target, {residual, x, scale}) || !target.is_contiguous()) {
    Tensor out = target;
    at::addcmul_out(out, residual, x, scale);
    return;
  }
  const int64_t width = target.size(-1);
  const Tensor kept = residual.contiguous(), rows = x.contiguous(), factors = scale.contiguous();
  const AddScaledTask task{kept.const_data_ptr(), rows.const_data_ptr(), factors.const_data_ptr(),
                           target.mutable_data_ptr(), width};
  const LayerNormKernels& table = kernels().layer_norm;
  AddScaledKernel* kernel =
      target.scalar_type() == at::kFloat ? table.add_float : table.add_bfloat16;
  at::parallel_for(0, target.numel() / width, rows_worth_a_thread(width),
                   [&](int64_t begin, int64_t end) { kernel(task, begin, end); });
}

}  // namespace lexiseg::ops
