#include "core/fused_adamw.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace lexiseg {
namespace {

using at::Tensor;
using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;

bool fits(const Tensor& value) {
  const Tensor& gradient = value.grad();
  return !gradient.defined() ||
         (value.device().is_cpu() && value.scalar_type() == at::kFloat &&
          gradient.layout() == at::kStrided && gradient.scalar_type() == at::kFloat &&
          value.is_non_overlapping_and_dense());
}

// Numbers of the kernel lie in the order of the parameter's.
Tensor laid_out_as(const Tensor& value, const Tensor& other) {
  return other.strides() == value.strides() ? other : at::empty_like(value).copy_(other);
}

}  // namespace

bool FusedAdamW::prepare() {
  for (const auto& group : param_groups_) {
    if (!std::all_of(group.params().begin(), group.params().end(), fits)) return false;
  }
  for (const auto& group : param_groups_) {
    for (const Tensor& value : group.params()) {
      if (!value.grad().defined()) continue;
      auto& state = state_[value.unsafeGetTensorImpl()];
      if (state) continue;
      auto fresh = std::make_unique<AdamWParamState>();
      fresh->exp_avg(at::zeros_like(value));
      fresh->exp_avg_sq(at::zeros_like(value));
      state = std::move(fresh);
    }
  }
  return true;
}

Tensor FusedAdamW::step(LossClosure closure) {
  if (closure != nullptr || !prepare()) return AdamW::step(std::move(closure));
  const at::NoGradGuard no_grad;
  for (auto& group : param_groups_) {
    const auto& options = static_cast<const AdamWOptions&>(group.options());
    std::vector<Tensor> values, gradients, first, second, steps;
    for (const Tensor& value : group.params()) {
      if (!value.grad().defined()) continue;
      auto& state = static_cast<AdamWParamState&>(*state_.at(value.unsafeGetTensorImpl()));
      state.step(state.step() + 1);
      state.exp_avg(laid_out_as(value, state.exp_avg()));
      state.exp_avg_sq(laid_out_as(value, state.exp_avg_sq()));
      values.push_back(value);
      gradients.push_back(laid_out_as(value, value.grad()));
      first.push_back(state.exp_avg());
      second.push_back(state.exp_avg_sq());
      steps.push_back(at::scalar_tensor(static_cast<double>(state.step()), at::kFloat));
    }
    if (values.empty()) continue;
    const auto [beta1, beta2] = options.betas();
    at::_fused_adamw_(values, gradients, first, second, {}, steps, options.lr(), beta1, beta2,
                      options.weight_decay(), options.eps(), /*amsgrad=*/false,
                      /*maximize=*/false);
  }
  return {};
}

}  // namespace lexiseg
