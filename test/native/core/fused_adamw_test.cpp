// The fused step against LibTorch's own, number for number.
#include <ATen/ATen.h>
#include <torch/optim/adamw.h>
#include <torch/serialize.h>

#include <sstream>
#include <vector>

#include "check.h"
#include "core/fused_adamw.h"

using at::Tensor;
using lexiseg::FusedAdamW;
using torch::optim::AdamW;
using torch::optim::AdamWOptions;
using torch::optim::OptimizerParamGroup;

namespace {

// A matrix, a picture's filters with channels innermost, a number, and one without a gradient.
std::vector<Tensor> some_parameters() {
  at::manual_seed(3);
  std::vector<Tensor> values{at::randn({33, 17}),
                             at::randn({4, 3, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast),
                             at::randn({}), at::randn({8})};
  for (Tensor& value : values) value.requires_grad_(true);
  return values;
}

template <typename Optimizer>
Optimizer optimizer_of(const std::vector<Tensor>& values) {
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<Tensor>{values[0], values[1]},
                      std::make_unique<AdamWOptions>(AdamWOptions(1e-2).weight_decay(0.1)));
  groups.emplace_back(std::vector<Tensor>{values[2], values[3]},
                      std::make_unique<AdamWOptions>(AdamWOptions(3e-2).weight_decay(0)));
  return Optimizer(groups, AdamWOptions(1e-3));
}

void give_gradients(const std::vector<Tensor>& values, int step) {
  at::manual_seed(100 + step);
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    values[i].mutable_grad() = at::randn(values[i].sizes());  // a layout of its own
  }
}

void expect_alike(const std::vector<Tensor>& some, const std::vector<Tensor>& others) {
  for (size_t i = 0; i < some.size(); ++i) EXPECT(at::allclose(some[i], others[i], 1e-6, 1e-7));
}

template <typename From, typename To>
void move_state(const From& from, To& to) {
  std::stringstream file;
  torch::save(from, file);
  torch::load(to, file);
}

}  // namespace

TEST("a fused step is LibTorch's, in any layout") {
  const auto ours = some_parameters(), theirs = some_parameters();
  auto fused = optimizer_of<FusedAdamW>(ours);
  auto plain = optimizer_of<AdamW>(theirs);
  const Tensor untouched = ours[3].detach().clone();
  for (int step = 0; step < 5; ++step) {
    give_gradients(ours, step);
    give_gradients(theirs, step);
    fused.step();
    plain.step();
    expect_alike(ours, theirs);
  }
  EXPECT(at::equal(ours[3], untouched));
  EXPECT(ours[1].is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST("either AdamW goes on from the state of the other") {
  const auto ours = some_parameters(), theirs = some_parameters();
  auto fused = optimizer_of<FusedAdamW>(ours);
  auto plain = optimizer_of<AdamW>(theirs);
  for (int step = 0; step < 2; ++step) {
    give_gradients(ours, step);
    give_gradients(theirs, step);
    fused.step();
    plain.step();
  }
  auto fused_again = optimizer_of<FusedAdamW>(theirs);
  auto plain_again = optimizer_of<AdamW>(ours);
  move_state(fused, plain_again);
  move_state(plain, fused_again);
  give_gradients(ours, 2);
  give_gradients(theirs, 2);
  plain_again.step();
  fused_again.step();
  expect_alike(ours, theirs);
}

TEST("what the kernel does not take LibTorch does itself") {
  std::vector<Tensor> values{at::randn({5}, at::kDouble).requires_grad_(true)};
  FusedAdamW fused({OptimizerParamGroup(values)}, AdamWOptions(1e-2));
  const Tensor before = values[0].detach().clone();
  values[0].mutable_grad() = at::ones({5}, at::kDouble);
  fused.step();
  EXPECT(at::allclose(values[0], before * (1 - 1e-4) - 1e-2, 0, 1e-9));
}
