#include "ops/linear.h"

#include <ATen/Config.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>

#include <algorithm>
#include <vector>

#include "ops/check.h"
#include "ops/kernels/kernels.h"
#include "ops/layer_norm.h"

namespace lexiseg::ops {
namespace {

// What one block of hidden activations may fill of a last-level cache. Each block has the weights
// brought into the order of the product anew, so that small ones cost more than they save.
constexpr int64_t kBlockBytes = 10 << 20;
constexpr int64_t kMinBlockRows = 256;
// Values that are worth a thread.
constexpr int64_t kActivationGrain = 1 << 14;

using PointwiseLinear = at::Tensor(const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, c10::string_view,
                                   c10::List<std::optional<at::Scalar>>,
                                   std::optional<c10::string_view>);

// oneDNN's fused layer is registered in CPU builds of LibTorch that carry oneDNN; it is not part of
// the C++ headers, so it is looked up by name. On processors that MKL does not favour it is more
// than twice as fast as at::linear in float32.
const c10::TypedOperatorHandle<PointwiseLinear>* pointwise_linear() {
  static const auto handle = []() -> std::optional<c10::TypedOperatorHandle<PointwiseLinear>> {
    const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!found || !found->hasKernelForDispatchKey(c10::DispatchKey::CPU)) return std::nullopt;
    return found->typed<PointwiseLinear>();
  }();
  return handle ? &*handle : nullptr;
}

bool runs_on_onednn(const at::Tensor& x, const at::Tensor& weight) {
  const bool dtype_fits = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  return x.device().is_cpu() && dtype_fits && weight.scalar_type() == x.scalar_type() &&
         x.numel() > 0 && (weight.is_contiguous() || weight.t().is_contiguous()) &&
         at::globalContext().userEnabledMkldnn() && pointwise_linear() != nullptr;
}

void check_activation(std::string_view activation) {
  TORCH_CHECK(activation == "gelu" || activation == "quick_gelu" || activation == "relu" ||
                  activation == "none",
              "Expected none, relu, gelu or quick_gelu for activation but received ",
              std::string(activation));
}

at::Tensor activate(at::Tensor y, std::string_view activation) {
  if (activation == "gelu") return at::gelu(y);
  if (activation == "quick_gelu") return at::mul(y, at::sigmoid(at::mul(y, 1.702)));
  return activation == "relu" ? at::relu(y) : y;
}

// y is contiguous, float32 or bfloat16, and nobody else's.
void quick_gelu_in_place(at::Tensor& y) {
  const auto& [in_float, in_bfloat16] = kernels().activation;
  ActivationKernel* kernel = y.scalar_type() == at::kFloat ? in_float : in_bfloat16;
  auto* values = static_cast<char*>(y.data_ptr());
  const auto width = static_cast<int64_t>(y.element_size());
  at::parallel_for(0, y.numel(), kActivationGrain, [&](int64_t begin, int64_t end) {
    kernel(values + begin * width, end - begin);
  });
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                  const std::optional<at::Tensor>& bias, std::string_view activation) {
  check_activation(activation);
  if (wants_gradient({x, weight, bias.value_or(at::Tensor())}) || !runs_on_onednn(x, weight)) {
    return activate(at::linear(x, weight, bias), activation);
  }
  const bool gelu = activation == "gelu", quick = activation == "quick_gelu";
  const std::string_view fused = quick ? "none" : activation;
  auto y = pointwise_linear()->call(x.contiguous(), weight, bias,
                                    c10::string_view(fused.data(), fused.size()),
                                    c10::List<std::optional<at::Scalar>>(),
                                    gelu ? std::optional<c10::string_view>("none") : std::nullopt);
  if (quick) quick_gelu_in_place(y);
  return y;
}

at::Tensor inverted_bottleneck(const at::Tensor& x, const at::Tensor& residual,
                               const at::Tensor& norm_weight, const at::Tensor& norm_bias,
                               double norm_eps, const at::Tensor& fc1_weight,
                               const at::Tensor& fc1_bias, const at::Tensor& fc2_weight,
                               const at::Tensor& fc2_bias, const at::Tensor& gamma) {
  LEXISEG_EXPECT(x.dim() > 0, "at least one dimension", "x", describe(x));
  const int64_t channels = x.size(-1);
  check_sizes(fc2_weight, "fc2_weight", {channels, fc1_weight.size(0)});
  check_sizes(gamma, "gamma", {channels});
  const auto block = [&](const at::Tensor& rows) {
    const auto normed = layer_norm(rows, norm_weight, norm_bias, norm_eps, std::nullopt);
    const auto hidden = linear(normed, fc1_weight, fc1_bias, "gelu");
    return linear(hidden, fc2_weight, fc2_bias, "none");
  };
  TORCH_CHECK(x.sizes() == residual.sizes(), "Expected ", x.sizes(), " for residual but received ",
              residual.sizes());
  const bool trained = wants_gradient(
      {x, residual, norm_weight, norm_bias, fc1_weight, fc1_bias, fc2_weight, fc2_bias, gamma});
  if (trained || !x.device().is_cpu()) {
    return at::addcmul(residual, block(x), gamma);
  }
  const auto x_rows = x.reshape({-1, channels});
  const auto residual_rows = residual.reshape({-1, channels});
  const int64_t rows = x_rows.size(0);
  const int64_t row_bytes = fc1_weight.size(0) * x.element_size();
  const int64_t most = std::max(kMinBlockRows, kBlockBytes / std::max<int64_t>(row_bytes, 1));
  const int64_t blocks = std::max<int64_t>((rows + most - 1) / most, 1);
  const int64_t step = (rows + blocks - 1) / blocks;
  auto out = at::empty_like(residual_rows, at::MemoryFormat::Contiguous);
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    add_scaled(out.narrow(0, begin, count), residual_rows.narrow(0, begin, count),
               block(x_rows.narrow(0, begin, count)), gamma);
  }
  return out.view(x.sizes());
}

}  // namespace lexiseg::ops
