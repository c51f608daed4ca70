#include "core/norm_folding.h"

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>

#include <string>
#include <unordered_set>

namespace lexiseg {
namespace {

namespace jit = torch::jit;

bool has_tensor(const jit::Module& part, const std::string& name) {
  return part.hasattr(name) && part.attr(name).isTensor();
}

bool has_part(const jit::Module& part, const std::string& name) {
  return part.hasattr(name) && part.attr(name).isModule();
}

bool is_foldable(const jit::Module& conv, const jit::Module& norm) {
  if (!has_tensor(conv, "weight") || has_tensor(conv, "bias") || !norm.hasattr("eps") ||
      !norm.attr("eps").isDouble()) {
    return false;
  }
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) {
    if (!has_tensor(norm, name)) return false;
  }
  const at::Tensor weight = conv.attr("weight").toTensor();
  const at::Tensor variance = norm.attr("running_var").toTensor();
  return weight.dim() == 4 && weight.is_floating_point() && variance.dim() == 1 &&
         variance.size(0) == weight.size(0);
}

void fold(jit::Module conv, jit::Module norm) {
  const auto wide = [&](const char* name) {
    return norm.attr(name).toTensor().detach().to(at::kDouble);
  };
  const double eps = norm.attr("eps").toDouble();
  const at::Tensor scale = wide("weight") / (wide("running_var") + eps).sqrt();
  const at::Tensor shift = wide("bias") - wide("running_mean") * scale;
  const at::Tensor weight = conv.attr("weight").toTensor().detach();
  conv.setattr("weight", (weight * scale.view({-1, 1, 1, 1})).to(at::kFloat));
  norm.setattr("weight", at::ones_like(scale, at::kFloat));
  norm.setattr("bias", shift.to(at::kFloat));
  norm.setattr("running_mean", at::zeros_like(scale, at::kFloat));
  norm.setattr("running_var", at::full_like(scale, 1.0 - eps, at::kFloat));
}

}  // namespace

void fold_norms(const jit::Module& module) {
  std::unordered_set<const void*> done;  // convolutions; one may be part of several modules
  for (const auto& part : module.named_modules()) {
    if (!has_part(part.value, "conv") || !has_part(part.value, "norm")) continue;
    const jit::Module conv = part.value.attr("conv").toModule();
    const jit::Module norm = part.value.attr("norm").toModule();
    if (is_foldable(conv, norm) && done.insert(conv._ivalue().get()).second) fold(conv, norm);
  }
}

}  // namespace lexiseg
