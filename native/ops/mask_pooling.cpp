#include "ops/mask_pooling.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "ops/check.h"
#include "ops/kernels/kernels.h"
#include "ops/pieces.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

constexpr double kMinArea = 1e-8;

void check(const Tensor& features, const Tensor& mask_logits) {
  LEXISEG_EXPECT(features.dim() == 4 && features.is_floating_point(), "floating-point [B, C, h, w]",
                 "features", describe(features));
  LEXISEG_EXPECT(mask_logits.dim() == 4 && mask_logits.is_floating_point(),
                 "floating-point [B, Q, h, w]", "mask_logits", describe(mask_logits));
  LEXISEG_EXPECT(mask_logits.size(0) == features.size(0) &&
                     mask_logits.size(2) == features.size(2) &&
                     mask_logits.size(3) == features.size(3),
                 "the B, h and w of features", "mask_logits", describe(mask_logits));
}

// Pixels one after another with one stride, which NCHW and channels-last both have.
Tensor with_even_pixels(const Tensor& features) {
  const bool even = features.stride(2) == features.size(3) * features.stride(3);
  return even ? features : features.contiguous();
}

// The masks that each take part, and the sums of one piece of an image.
struct Pooling {
  Tensor features, mask_logits, out;
  PoolingKernel* kernel;
  int64_t queries, channels, pixels;
};

// The pixels are cut at fixed places, so that sums do not depend on the number of threads.
constexpr int64_t kPiecePixels = 2048;

void pool_image(const Pooling& p, int64_t image) {
  const int64_t pieces = (p.pixels + kPiecePixels - 1) / kPiecePixels;
  const int64_t slabs = (p.channels + PoolingTask::kChannels - 1) / PoolingTask::kChannels;
  const auto totals = at::zeros({pieces, slabs, p.queries, PoolingTask::kChannels}, at::kFloat);
  const auto areas = at::zeros({pieces, slabs, p.queries}, at::kFloat);
  const auto features = p.features[image], masks = p.mask_logits[image];
  Pieces work(pieces * slabs, 1);
  work.on_all_threads([&] {
    std::vector<uint32_t> words(p.queries * PoolingTask::kWords);
    for (auto one = work.take(); one.is_some(); one = work.take()) {
      const int64_t pixel = one.begin / slabs * kPiecePixels;
      const int64_t channel = one.begin % slabs * PoolingTask::kChannels;
      const int64_t offset = channel * features.stride(0) + pixel * features.stride(2);
      p.kernel({static_cast<const char*>(features.const_data_ptr()) +
                    offset * static_cast<int64_t>(features.element_size()),
                features.stride(0), features.stride(2),
                std::min(PoolingTask::kChannels, p.channels - channel),
                static_cast<const char*>(masks.const_data_ptr()) +
                    pixel * static_cast<int64_t>(masks.element_size()),
                p.pixels, p.queries, std::min(kPiecePixels, p.pixels - pixel),
                totals.mutable_data_ptr<float>() + one.begin * p.queries * PoolingTask::kChannels,
                areas.mutable_data_ptr<float>() + one.begin * p.queries, words.data()});
    }
  });
  const auto total = totals.sum(0).permute({1, 0, 2}).reshape({p.queries, -1});
  const auto area = areas.select(1, 0).sum(0);
  p.out[image].copy_(total.narrow(1, 0, p.channels) / (area + kMinArea).unsqueeze(1));
}

class MaskPooling : public torch::autograd::Function<MaskPooling> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& features,
                        const Tensor& mask_logits) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({mask_logits});
    context->saved_data["dtype"] = features.scalar_type();
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("lexiseg::mask_pooling", "")
                               .typed<decltype(mask_pooling)>();
    return op.call(features, mask_logits);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto mask_logits = context->get_saved_variables()[0];
    const auto dtype = context->saved_data["dtype"].toScalarType();
    const auto inside = (mask_logits > 0).flatten(2);
    const auto area = inside.sum(2, /*keepdim=*/true).to(grads[0].scalar_type());
    const auto mean_grad = (grads[0] / (area + kMinArea)).to(dtype);
    const auto grad = at::bmm(mean_grad.transpose(1, 2), inside.to(dtype));
    return {grad.view({grad.size(0), grad.size(1), mask_logits.size(2), mask_logits.size(3)}),
            Tensor()};
  }
};

}  // namespace

Tensor mask_pooling_composed(const Tensor& features, const Tensor& mask_logits) {
  check(features, mask_logits);
  const auto inside = (mask_logits > 0).flatten(2);
  const auto area = inside.sum(2, /*keepdim=*/true).to(at::kFloat);
  const auto total =
      at::bmm(inside.to(features.scalar_type()), features.flatten(2).transpose(1, 2));
  return total.to(at::kFloat) / (area + kMinArea);
}

Tensor mask_pooling(const Tensor& features, const Tensor& mask_logits) {
  check(features, mask_logits);
  const auto dtype = features.scalar_type(), mask_dtype = mask_logits.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16) {
    return mask_pooling_composed(features, mask_logits);
  }
  const bool half_masks = dtype == at::kBFloat16 && mask_dtype == at::kBFloat16;
  const PoolingKernels& table = kernels().pooling;
  Pooling p;
  p.features = with_even_pixels(features);
  p.mask_logits = mask_logits.to(half_masks ? at::kBFloat16 : at::kFloat).contiguous();
  p.kernel = dtype == at::kFloat ? table.float_float
             : half_masks        ? table.bfloat16_bfloat16
                                 : table.bfloat16_float;
  p.queries = mask_logits.size(1);
  p.channels = features.size(1);
  p.pixels = features.size(2) * features.size(3);
  p.out = at::zeros({features.size(0), p.queries, p.channels}, at::kFloat);
  if (p.out.numel() == 0 || p.pixels == 0) return p.out;
  for (int64_t image = 0; image < features.size(0); ++image) pool_image(p, image);
  return p.out;
}

Tensor mask_pooling_autograd(const Tensor& features, const Tensor& mask_logits) {
  return MaskPooling::apply(features, mask_logits);
}

}  // namespace lexiseg::ops
