#include "core/norm_folding.h"

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>

#include "check.h"

namespace {

namespace jit = torch::jit;

constexpr double kEps = 1e-3;

// `conv` of 3 to 4 channels and a batch norm `norm` with statistics that are not its start.
jit::Module convolution_with_norm(bool with_bias) {
  at::manual_seed(5);
  jit::Module conv("conv");
  conv.register_parameter("weight", at::randn({4, 3, 3, 3}), false);
  if (with_bias) conv.register_parameter("bias", at::randn({4}), false);
  jit::Module norm("norm");
  norm.register_parameter("weight", at::randn({4}), false);
  norm.register_parameter("bias", at::randn({4}), false);
  norm.register_buffer("running_mean", at::randn({4}));
  norm.register_buffer("running_var", at::rand({4}) + 0.1);
  norm.register_attribute("eps", c10::FloatType::get(), kEps);
  jit::Module pair("pair");
  pair.register_module("conv", conv);
  pair.register_module("norm", norm);
  return pair;
}

at::Tensor part(const jit::Module& pair, const char* module, const char* name) {
  return pair.attr(module).toModule().attr(name).toTensor();
}

at::Tensor run(const jit::Module& pair, const at::Tensor& image) {
  const at::Tensor map = at::conv2d(image, part(pair, "conv", "weight"));
  return at::batch_norm(map, part(pair, "norm", "weight"), part(pair, "norm", "bias"),
                        part(pair, "norm", "running_mean"), part(pair, "norm", "running_var"),
                        false, 0.0, kEps, false);
}

}  // namespace

TEST("a folded batch norm only shifts, and the results are the same") {
  const jit::Module pair = convolution_with_norm(false);
  const at::Tensor image = at::randn({2, 3, 9, 8});
  const at::Tensor before = run(pair, image);
  const at::Tensor weight = part(pair, "conv", "weight").clone();
  lexiseg::fold_norms(pair);
  EXPECT(!at::equal(part(pair, "conv", "weight"), weight));
  EXPECT(at::equal(part(pair, "norm", "weight"), at::ones({4})));
  EXPECT(at::equal(part(pair, "norm", "running_mean"), at::zeros({4})));
  EXPECT((run(pair, image) - before).abs().max().item<float>() < 1e-4);
}

TEST("folding twice, or a convolution with a bias, changes nothing") {
  const jit::Module folded = convolution_with_norm(false);
  lexiseg::fold_norms(folded);
  const at::Tensor once = part(folded, "conv", "weight").clone();
  lexiseg::fold_norms(folded);
  EXPECT((part(folded, "conv", "weight") - once).abs().max().item<float>() < 1e-5);
  const jit::Module biased = convolution_with_norm(true);
  const at::Tensor weight = part(biased, "conv", "weight").clone();
  const at::Tensor variance = part(biased, "norm", "running_var").clone();
  lexiseg::fold_norms(biased);
  EXPECT(at::equal(part(biased, "conv", "weight"), weight));
  EXPECT(at::equal(part(biased, "norm", "running_var"), variance));
}
