#include "ops/depthwise_conv.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "ops/check.h"
#include "ops/kernels/kernels.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

constexpr int64_t kSide = DepthwiseTask::kSide;

Tensor convolve(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  const int64_t reach = weight.size(2) / 2;
  return at::conv2d(x, weight, bias, 1, reach, 1, weight.size(0));
}

bool channels_last(const Tensor& x) { return x.is_contiguous(at::MemoryFormat::ChannelsLast); }

// x and grad: the same dtype, [B, C, h, w], channels last. Returns float32 [C, 1, 7, 7].
Tensor weight_gradient(const Tensor& x, const Tensor& grad) {
  const int64_t images = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t slabs = (channels + DepthwiseTask::kChannels - 1) / DepthwiseTask::kChannels;
  const auto sums = at::zeros({images, kSide * kSide, channels}, at::kFloat);
  const DepthwiseKernels& table = kernels().depthwise;
  DepthwiseKernel* kernel =
      x.scalar_type() == at::kFloat ? table.weights_float : table.weights_bfloat16;
  const auto element = static_cast<int64_t>(x.element_size());
  at::parallel_for(0, images * slabs, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> rows(DepthwiseTask::row_floats(width));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / slabs, first = i % slabs * DepthwiseTask::kChannels;
      const int64_t offset = (image * height * width * channels + first) * element;
      kernel({static_cast<const char*>(x.const_data_ptr()) + offset,
              static_cast<const char*>(grad.const_data_ptr()) + offset, height, width, channels,
              std::min(DepthwiseTask::kChannels, channels - first), rows.data(),
              sums.mutable_data_ptr<float>() + image * kSide * kSide * channels + first});
    }
  });
  return sums.sum(0).t().reshape({channels, 1, kSide, kSide});
}

class DepthwiseConv : public torch::autograd::Function<DepthwiseConv> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x,
                        const Tensor& weight, const std::optional<Tensor>& bias) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, weight});
    context->saved_data["has_bias"] = bias.has_value();
    return convolve(x, weight, bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const bool has_bias = context->saved_data["has_bias"].toBool();
    const Tensor grad = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
    torch::autograd::variable_list result(3);
    if (context->needs_input_grad(0)) result[0] = convolve(grad, weight.flip({2, 3}), std::nullopt);
    if (context->needs_input_grad(1)) {
      result[1] = weight_gradient(x, grad).to(weight.scalar_type());
    }
    if (has_bias && context->needs_input_grad(2)) result[2] = grad.sum({0, 2, 3});
    return result;
  }
};

bool has_own_gradient(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  const auto dtype = x.scalar_type();
  return wants_gradient({x, weight, bias.value_or(Tensor())}) && x.device().is_cpu() &&
         weight.device().is_cpu() && (dtype == at::kFloat || dtype == at::kBFloat16) &&
         weight.scalar_type() == dtype && weight.size(2) == kSide && x.numel() > 0 &&
         channels_last(x);
}

}  // namespace

Tensor depthwise_conv(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  LEXISEG_EXPECT(x.dim() == 4, "4 dimensions", "x", describe(x));
  LEXISEG_EXPECT(weight.dim() == 4 && weight.size(1) == 1 && weight.size(2) == weight.size(3) &&
                     weight.size(2) % 2 == 1,
                 "[C, 1, k, k], k odd,", "weight", describe(weight));
  check_sizes(x, "x", {x.size(0), weight.size(0), x.size(2), x.size(3)});
  if (bias) check_sizes(*bias, "bias", {weight.size(0)});
  // As ATen's own convolution does it: gradients flow through, and a weight is cast once.
  const auto device = x.device().type();
  const auto dtype = at::autocast::is_autocast_enabled(device)
                         ? std::optional(at::autocast::get_autocast_dtype(device))
                         : std::nullopt;
  const auto cast = [&](const Tensor& t) {
    return dtype ? at::autocast::cached_cast(*dtype, t, device) : t;
  };
  const Tensor input = cast(x), kernel = cast(weight);
  const auto shift = bias ? std::optional(cast(*bias)) : std::nullopt;
  if (!has_own_gradient(input, kernel, shift)) return convolve(input, kernel, shift);
  return DepthwiseConv::apply(input, kernel, shift);
}

}  // namespace lexiseg::ops
