#include "addon/result_calls.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "addon/arguments.h"
#include "addon/failure.h"
#include "addon/pending_call.h"
#include "addon/tensor_handle.h"
#include "core/error.h"
#include "core/postprocess.h"
#include "ops/rle.h"

namespace lexiseg {
namespace {

constexpr int64_t kMaxBatch = int64_t{1} << 31;
constexpr int64_t kMaxSide = 1 << 15;
// The work grows with the cube, on the thread of JavaScript.
constexpr int64_t kMostAssigned = 1024;

// (height, width) of one size after another.
template <typename Sizes>
Sizes geometry_at(const Arguments& arguments, size_t position) {
  const auto sizes = arguments.integers(position, "geometry", int64_t{1} << 40);
  Sizes geometry{};
  if (sizes.size() != geometry.size()) {
    throw_expected("an array of " + std::to_string(geometry.size()) + " integers", "geometry",
                   arguments.value(position));
  }
  std::copy(sizes.begin(), sizes.end(), geometry.begin());
  return geometry;
}

Napi::Object label_map_object(Napi::Env env, const LabelMap& map) {
  auto object = Napi::Object::New(env);
  object["labels"] = TensorHandle::wrap(env, map.labels);
  object["scores"] = TensorHandle::wrap(env, map.scores);
  return object;
}

// maskLogits, index, classLogProbs, geometry: arguments 1 to 4 of the calls on proposals.
ImageProposals image_proposals(const Arguments& arguments, std::vector<Pin>& pins) {
  ImageProposals proposals;
  proposals.mask_logits = arguments.tensor(1, "maskLogits", pins);
  proposals.index = arguments.integer(2, "index", 0, kMaxBatch);
  proposals.class_log_probs = arguments.tensor(3, "classLogProbs", pins);
  proposals.geometry = geometry_at<Geometry>(arguments, 4);
  return proposals;
}

at::Tensor thing_flags(const Arguments& arguments) {
  return arguments.array_copy(5, "thing", at::kByte).ne(0);
}

// A typed array of JavaScript's own with a copy of the numbers; for arrays of a few kilobytes.
template <typename Array>
Napi::Value small_array(Napi::Env env, const at::Tensor& tensor) {
  auto array = Array::New(env, static_cast<size_t>(tensor.numel()));
  const at::Tensor numbers = tensor.contiguous();
  if (numbers.numel() > 0) std::memcpy(array.Data(), numbers.const_data_ptr(), numbers.nbytes());
  return array;
}

// What an operator refuses here is the caller's, not a failure of the network.
template <typename Call>
Napi::Value on_arguments(Napi::Env env, const Call& call) {
  return guarded(env, [&]() -> Napi::Value {
    try {
      return call();
    } catch (const c10::Error& error) {
      throw Error(code::kArgument, error.what_without_backtrace());
    }
  });
}

}  // namespace

Napi::Value label_map_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    JobHandle& job = arguments.job(0);
    const ImageProposals proposals = image_proposals(arguments, pins);
    const bool resize_scores = arguments.flag(5, "resizeScores");
    std::optional<double> one_mask_at;
    if (!arguments.value(6).IsUndefined()) one_mask_at = arguments.number(6, "oneMaskAt");
    Executor& executor = Environment::of(env).executor(proposals.mask_logits.device());
    return start_call(
        env, {job, executor, 0, std::move(pins)},
        [proposals, resize_scores, one_mask_at] {
          return label_map(proposals, resize_scores, one_mask_at);
        },
        label_map_object);
  });
}

Napi::Value dense_label_map_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    JobHandle& job = arguments.job(0);
    ImageLogits logits;
    logits.class_logits = arguments.tensor(1, "classLogits", pins);
    logits.index = arguments.integer(2, "index", 0, kMaxBatch);
    logits.area = arguments.numbers(3, "area", 4);
    logits.geometry = geometry_at<std::array<int64_t, 4>>(arguments, 4);
    std::optional<double> most_entropy;
    if (!arguments.value(5).IsUndefined()) most_entropy = arguments.number(5, "mostEntropy");
    Executor& executor = Environment::of(env).executor(logits.class_logits.device());
    return start_call(
        env, {job, executor, 0, std::move(pins)},
        [logits, most_entropy] { return dense_label_map(logits, most_entropy); }, label_map_object);
  });
}

Napi::Value panoptic_merge_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    JobHandle& job = arguments.job(0);
    const ImageProposals proposals = image_proposals(arguments, pins);
    const at::Tensor thing = thing_flags(arguments);
    const auto thresholds = arguments.numbers(6, "thresholds", 2);
    Executor& executor = Environment::of(env).executor(proposals.mask_logits.device());
    return start_call(
        env, {job, executor, 0, std::move(pins)},
        [proposals, thing, thresholds] {
          return panoptic_merge(proposals, thing, thresholds[0], thresholds[1]);
        },
        [](Napi::Env inner, const PanopticMap& map) {
          auto object = Napi::Object::New(inner);
          object["segmentIds"] = TensorHandle::wrap(inner, map.segment_ids);
          object["classes"] = small_array<Napi::Int32Array>(inner, map.classes);
          object["scores"] = small_array<Napi::Float32Array>(inner, map.scores);
          object["areas"] = small_array<Napi::Int32Array>(inner, map.areas);
          object["boxes"] = small_array<Napi::Int32Array>(inner, map.boxes);
          object["queries"] = small_array<Napi::Int32Array>(inner, map.queries);
          return object;
        });
  });
}

Napi::Value select_instances_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    const Arguments arguments(info);
    std::vector<Pin> pins;
    JobHandle& job = arguments.job(0);
    const ImageProposals proposals = image_proposals(arguments, pins);
    const at::Tensor thing = thing_flags(arguments);
    const int64_t top_k = arguments.integer(6, "topK", 1, 1 << 20);
    Executor& executor = Environment::of(env).executor(proposals.mask_logits.device());
    return start_call(
        env, {job, executor, 0, std::move(pins)},
        [proposals, thing, top_k] { return select_instances(proposals, thing, top_k); },
        [](Napi::Env inner, const Instances& instances) {
          auto object = Napi::Object::New(inner);
          object["counts"] = small_array<Napi::Uint32Array>(inner, instances.counts);
          object["offsets"] = small_array<Napi::Uint32Array>(inner, instances.offsets);
          object["classes"] = small_array<Napi::Int32Array>(inner, instances.classes);
          object["scores"] = small_array<Napi::Float32Array>(inner, instances.scores);
          object["areas"] = small_array<Napi::Int32Array>(inner, instances.areas);
          object["boxes"] = small_array<Napi::Int32Array>(inner, instances.boxes);
          return object;
        });
  });
}

Napi::Value assign_call(const Napi::CallbackInfo& info) {
  return on_arguments(info.Env(), [&] {
    const Arguments arguments(info);
    const int64_t rows = arguments.integer(1, "rows", 0, kMostAssigned);
    const int64_t columns = arguments.integer(2, "columns", 0, kMostAssigned);
    const at::Tensor cost = arguments.array_copy(0, "cost", at::kFloat);
    if (cost.numel() != rows * columns) {
      throw Error(code::kTensor, "Expected " + std::to_string(rows * columns) +
                                     " numbers for cost but received " +
                                     std::to_string(cost.numel()));
    }
    return small_array<Napi::Int32Array>(info.Env(), assign(cost.view({rows, columns})));
  });
}

Napi::Value rle_encode_call(const Napi::CallbackInfo& info) {
  return on_arguments(info.Env(), [&] {
    const Arguments arguments(info);
    const int64_t width = arguments.integer(1, "width", 0, kMaxSide);
    const int64_t height = arguments.integer(2, "height", 0, kMaxSide);
    const at::Tensor mask = arguments.array_copy(0, "mask", at::kByte);
    if (mask.numel() != width * height) {
      throw Error(code::kTensor, "Expected " + std::to_string(width * height) +
                                     " bytes for mask but received " +
                                     std::to_string(mask.numel()));
    }
    return small_array<Napi::Uint32Array>(info.Env(), rle_encode(mask.view({height, width})));
  });
}

Napi::Value rle_decode_call(const Napi::CallbackInfo& info) {
  return on_arguments(info.Env(), [&] {
    const Arguments arguments(info);
    const at::Tensor counts = arguments.array_copy(0, "counts", at::kInt);
    const int64_t width = arguments.integer(1, "width", 0, kMaxSide);
    const int64_t height = arguments.integer(2, "height", 0, kMaxSide);
    return small_array<Napi::Uint8Array>(info.Env(), rle_decode(counts, height, width));
  });
}

Napi::Value rle_to_string_call(const Napi::CallbackInfo& info) {
  return on_arguments(info.Env(), [&] {
    const at::Tensor counts = Arguments(info).array_copy(0, "counts", at::kInt);
    const auto* first = reinterpret_cast<const uint32_t*>(counts.const_data_ptr<int32_t>());
    return Napi::String::New(info.Env(), ops::rle_to_string({first, first + counts.numel()}));
  });
}

Napi::Value rle_from_string_call(const Napi::CallbackInfo& info) {
  return on_arguments(info.Env(), [&] {
    const std::vector<uint32_t> counts = ops::rle_from_string(Arguments(info).text(0, "text"));
    auto array = Napi::Uint32Array::New(info.Env(), counts.size());
    std::copy(counts.begin(), counts.end(), array.Data());
    return array;
  });
}

}  // namespace lexiseg
