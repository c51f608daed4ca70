#include "core/postprocess.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_unique.h>
#include <ATen/ops/full.h>
#include <ATen/ops/where.h>

#include <cmath>
#include <string>
#include <tuple>

#include "core/error.h"

namespace lexiseg {
namespace {

using at::Tensor;

// The ops are reached through the dispatcher, so a tensor's device chooses the kernel.
template <typename Signature>
c10::TypedOperatorHandle<Signature> op(const char* name) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, ""});
  if (!found) throw Error(code::kNativeLoad, std::string("The ops library lacks ") + name);
  return found->typed<Signature>();
}

std::string sizes_of(const Tensor& tensor) {
  std::string text = "[";
  for (const int64_t size : tensor.sizes())
    text += (text == "[" ? "" : ", ") + std::to_string(size);
  return text + "]";
}

[[noreturn]] void misfit(const std::string& what, const std::string& name, const Tensor& tensor) {
  throw Error(code::kTensor,
              "Expected " + what + " for " + name + " but received " + sizes_of(tensor));
}

void check_geometry(const Geometry& g) {
  constexpr int64_t kMaxSide = 1 << 15;
  constexpr int64_t kMaxPixels = int64_t{1} << 28;
  for (const int64_t side : g) {
    if (side < 1 || side > kMaxSide) {
      throw Error(code::kImageSize, "Expected sides of 1 to " + std::to_string(kMaxSide) +
                                        " pixels for geometry but received " +
                                        std::to_string(side));
    }
  }
  if (g[2] > g[0] || g[3] > g[1]) {
    throw Error(code::kImageSize, "Expected a valid size inside the network size for geometry");
  }
  if (g[4] * g[5] > kMaxPixels) {
    throw Error(code::kImageSize, "The output has more than 268435456 pixels");
  }
}

// Checks the fit of the parts and returns the chosen image: float32 [Q, h, w] and [Q, K + 1].
std::pair<Tensor, Tensor> chosen_image(const ImageProposals& p) {
  if (p.mask_logits.dim() != 4 || p.mask_logits.numel() == 0 ||
      !p.mask_logits.is_floating_point()) {
    misfit("floating-point mask logits [B, Q, h, w]", "maskLogits", p.mask_logits);
  }
  if (p.class_log_probs.dim() != 3 || !p.class_log_probs.is_floating_point() ||
      p.class_log_probs.size(0) != p.mask_logits.size(0) ||
      p.class_log_probs.size(1) != p.mask_logits.size(1) || p.class_log_probs.size(2) < 2) {
    misfit("class log-probabilities [B, Q, K + 1] of the mask logits' B and Q", "classLogProbs",
           p.class_log_probs);
  }
  if (p.class_log_probs.device() != p.mask_logits.device()) {
    throw Error(code::kTensor, "Expected maskLogits and classLogProbs on one device");
  }
  if (p.index < 0 || p.index >= p.mask_logits.size(0)) {
    throw Error(code::kTensor,
                "Expected an image of the batch for index but received " + std::to_string(p.index));
  }
  check_geometry(p.geometry);
  return {p.mask_logits[p.index].to(at::kFloat).contiguous(),
          p.class_log_probs[p.index].to(at::kFloat).softmax(-1)};
}

// The masks that suit some class best, as steps at a probability, and their class probabilities.
std::pair<Tensor, Tensor> best_of_classes(const Tensor& mask_logits, const Tensor& class_probs,
                                          double probability) {
  if (!(probability > 0.0 && probability < 1.0)) {
    throw Error(code::kArgument, "Expected a number between 0 and 1 for oneMaskAt");
  }
  const auto best = std::get<0>(at::_unique(class_probs.argmax(0)));
  // So steep that a pixel is in or out, wherever the map is sampled.
  constexpr double kSteepness = 1e4;
  const auto masks =
      (mask_logits.index_select(0, best) - std::log(probability / (1.0 - probability))) *
      kSteepness;
  return {masks.contiguous(), class_probs.index_select(0, best).contiguous()};
}

Tensor checked_thing(const Tensor& thing, const Tensor& class_probs) {
  const int64_t classes = class_probs.size(1) - 1;
  if (thing.dim() != 1 || thing.size(0) != classes) {
    misfit("one flag for each of " + std::to_string(classes) + " classes", "thing", thing);
  }
  return thing.to(class_probs.device(), at::kBool);
}

Tensor on_cpu(const Tensor& tensor) { return tensor.cpu().contiguous(); }

Tensor on_cpu(const Tensor& tensor, at::ScalarType dtype) {
  return tensor.to(at::kCPU, dtype).contiguous();
}

}  // namespace

LabelMap label_map(const ImageProposals& proposals, bool resize_scores,
                   std::optional<double> one_mask_at) {
  auto [mask_logits, class_probs] = chosen_image(proposals);
  auto known = class_probs.narrow(1, 0, class_probs.size(1) - 1).contiguous();
  if (one_mask_at) std::tie(mask_logits, known) = best_of_classes(mask_logits, known, *one_mask_at);
  using Signature =
      std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, c10::IntArrayRef, bool);
  const auto [labels, scores] = op<Signature>("lexiseg::label_map")
                                    .call(mask_logits, known, proposals.geometry, resize_scores);
  if (one_mask_at) return {on_cpu(at::where(scores > 0, labels, -1)), on_cpu(scores)};
  return {on_cpu(labels), on_cpu(scores)};
}

LabelMap dense_label_map(const ImageLogits& logits, std::optional<double> most_entropy) {
  const Tensor& all = logits.class_logits;
  if (all.dim() != 4 || all.numel() == 0 || !all.is_floating_point()) {
    misfit("floating-point class logits [B, K, h, w]", "classLogits", all);
  }
  if (logits.index < 0 || logits.index >= all.size(0)) {
    throw Error(code::kTensor, "Expected an image of the batch for index but received " +
                                   std::to_string(logits.index));
  }
  const auto& [height, width, out_height, out_width] = logits.geometry;
  check_geometry({height, width, height, width, out_height, out_width});
  using Signature = std::tuple<Tensor, Tensor>(const Tensor&, c10::ArrayRef<double>,
                                               c10::IntArrayRef, std::optional<double>);
  // The kernel is the processor's; the logits of one image are small.
  const Tensor own = on_cpu(all[logits.index], at::kFloat);
  const auto [labels, scores] = op<Signature>("lexiseg::dense_label_map")
                                    .call(own, logits.area, logits.geometry, most_entropy);
  return {on_cpu(labels), on_cpu(scores)};
}

PanopticMap panoptic_merge(const ImageProposals& proposals, const Tensor& thing,
                           double object_mask_threshold, double overlap_threshold) {
  const auto [mask_logits, class_probs] = chosen_image(proposals);
  const auto [scores, labels] = class_probs.max(-1);
  using Signature = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>(
      const Tensor&, const Tensor&, const Tensor&, const Tensor&, c10::IntArrayRef, double, double);
  const auto [segment_ids, classes, segment_scores, areas, boxes, queries] =
      op<Signature>("lexiseg::panoptic_merge")
          .call(mask_logits, scores, labels, checked_thing(thing, class_probs), proposals.geometry,
                object_mask_threshold, overlap_threshold);
  return {on_cpu(segment_ids),    on_cpu(classes, at::kInt),
          on_cpu(segment_scores), on_cpu(areas, at::kInt),
          on_cpu(boxes),          on_cpu(queries, at::kInt)};
}

Instances select_instances(const ImageProposals& proposals, const Tensor& thing, int64_t top_k) {
  const auto [mask_logits, class_probs] = chosen_image(proposals);
  const auto known = class_probs.narrow(1, 0, class_probs.size(1) - 1).contiguous();
  using Signature = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>(
      const Tensor&, const Tensor&, const Tensor&, c10::IntArrayRef, int64_t, bool);
  constexpr bool kThingsOnly = true;
  const auto [counts, offsets, classes, scores, areas, boxes] =
      op<Signature>("lexiseg::select_instances")
          .call(mask_logits, known, checked_thing(thing, class_probs), proposals.geometry, top_k,
                kThingsOnly);
  return {on_cpu(counts), on_cpu(offsets, at::kInt), on_cpu(classes, at::kInt),
          on_cpu(scores), on_cpu(areas, at::kInt),   on_cpu(boxes)};
}

Tensor rle_encode(const Tensor& mask) {
  const auto masks = mask.unsqueeze(0);
  const auto [counts, offsets] =
      op<std::tuple<Tensor, Tensor>(const Tensor&)>("lexiseg::rle_encode").call(masks);
  return counts;
}

Tensor rle_decode(const Tensor& counts, int64_t height, int64_t width) {
  const auto offsets = at::empty({2}, at::kLong);
  offsets.mutable_data_ptr<int64_t>()[0] = 0;
  offsets.mutable_data_ptr<int64_t>()[1] = counts.numel();
  using Signature = Tensor(const Tensor&, const Tensor&, int64_t, int64_t);
  return op<Signature>("lexiseg::rle_decode").call(counts, offsets, height, width)[0];
}

Tensor assign(const Tensor& cost) {
  const auto [rows, columns] =
      op<std::tuple<Tensor, Tensor>(const Tensor&)>("lexiseg::linear_sum_assignment").call(cost);
  const auto column_of = at::full({cost.size(0)}, -1, at::kInt);
  column_of.index_put_({rows}, columns.to(at::kInt));
  return column_of;
}

Tensor transfer(const Tensor& tensor, c10::Device device, at::ScalarType dtype) {
  return tensor.to(device, dtype, /*non_blocking=*/false, /*copy=*/true,
                   at::MemoryFormat::Contiguous);
}

}  // namespace lexiseg
