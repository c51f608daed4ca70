#include "ops/register.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/frontend/function_schema_parser.h>
#include <torch/library.h>

#include <memory>
#include <mutex>
#include <sstream>
#include <string>

#include "ops/attention.h"
#include "ops/collective.h"
#include "ops/dense_label_map.h"
#include "ops/depthwise_conv.h"
#include "ops/label_map.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/linear_sum_assignment.h"
#include "ops/mask_pooling.h"
#include "ops/ms_deform_attn.h"
#include "ops/panoptic_merge.h"
#include "ops/rle.h"
#include "ops/select_instances.h"
#include "ops/uniform_points.h"

namespace lexiseg::ops {
namespace {

constexpr const char* kVersion = "1";

constexpr const char* kSchemas[] = {
    "ms_deform_attn(Tensor value, int[] spatial_shapes, Tensor reference_points, "
    "Tensor sampling_offsets, Tensor attention_logits) -> Tensor",
    "ms_deform_attn_backward(Tensor grad, Tensor value, int[] spatial_shapes, "
    "Tensor reference_points, Tensor sampling_offsets, Tensor attention_logits) "
    "-> (Tensor, Tensor, Tensor)",
    "layer_norm(Tensor x, Tensor weight, Tensor bias, float eps, Tensor? added=None) -> Tensor",
    "attention(Tensor query, Tensor key, Tensor value) -> Tensor",
    "checked_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, "
    "float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) "
    "-> Tensor",
    "linear(Tensor x, Tensor weight, Tensor? bias, str activation=\"none\") -> Tensor",
    "depthwise_conv(Tensor x, Tensor weight, Tensor? bias) -> Tensor",
    "inverted_bottleneck(Tensor x, Tensor residual, Tensor norm_weight, Tensor norm_bias, "
    "float norm_eps, Tensor fc1_weight, Tensor fc1_bias, Tensor fc2_weight, Tensor fc2_bias, "
    "Tensor gamma) -> Tensor",
    "label_map(Tensor mask_logits, Tensor class_probs, int[] geometry, bool resize_scores) "
    "-> (Tensor, Tensor)",
    "dense_label_map(Tensor class_logits, float[] area, int[] geometry, "
    "float? most_entropy=None) "
    "-> (Tensor, Tensor)",
    "panoptic_merge(Tensor mask_logits, Tensor scores, Tensor labels, Tensor thing, "
    "int[] geometry, float object_mask_threshold, float overlap_threshold) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    "select_instances(Tensor mask_logits, Tensor class_probs, Tensor thing, int[] geometry, "
    "int top_k, bool things_only) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    "mask_pooling(Tensor features, Tensor mask_logits) -> Tensor",
    "linear_sum_assignment(Tensor cost) -> (Tensor, Tensor)",
    "uniform_points(Tensor seeds, int count) -> Tensor",
    "gather_ranks(Tensor own) -> Tensor",
    "mean_over_ranks(Tensor own) -> Tensor",
    "rle_encode(Tensor masks) -> (Tensor, Tensor)",
    "rle_decode(Tensor counts, Tensor offsets, int height, int width) -> Tensor",
};

// An operator cannot have a std::string_view argument in every LibTorch that this compiles against.
at::Tensor linear_op(const at::Tensor& x, const at::Tensor& weight,
                     const std::optional<at::Tensor>& bias, c10::string_view activation) {
  return linear(x, weight, bias, std::string_view(activation.data(), activation.size()));
}

void implement(torch::Library& library) {
  const auto on = [&](c10::DispatchKey key, const char* name, auto&& kernel) {
    library.impl(name, torch::dispatch(key, torch::CppFunction::makeFromUnboxedFunction(kernel)));
  };
  constexpr auto kCpu = c10::DispatchKey::CPU;
  constexpr auto kMeta = c10::DispatchKey::Meta;
  on(kCpu, "ms_deform_attn", ms_deform_attn);
  on(kMeta, "ms_deform_attn", ms_deform_attn_meta);
  on(c10::DispatchKey::Autograd, "ms_deform_attn", ms_deform_attn_autograd);
  on(kCpu, "ms_deform_attn_backward", ms_deform_attn_backward);
  on(kMeta, "ms_deform_attn_backward", ms_deform_attn_backward_meta);
  constexpr auto kEvery = c10::DispatchKey::CompositeImplicitAutograd;
  on(kEvery, "layer_norm", layer_norm);
  on(kEvery, "attention", attention);
  on(kEvery, "checked_attention", checked_attention);
  on(kEvery, "linear", linear_op);
  on(kEvery, "depthwise_conv", depthwise_conv);
  on(kEvery, "inverted_bottleneck", inverted_bottleneck);
  on(kEvery, "linear_sum_assignment", linear_sum_assignment);
  on(kEvery, "uniform_points", uniform_points);
  on(c10::DispatchKey::CompositeExplicitAutograd, "gather_ranks", gather_ranks);
  on(c10::DispatchKey::Autograd, "gather_ranks", gather_ranks_autograd);
  on(kEvery, "mean_over_ranks", mean_over_ranks);
  on(kCpu, "mask_pooling", mask_pooling);
  on(c10::DispatchKey::Autograd, "mask_pooling", mask_pooling_autograd);
  on(c10::DispatchKey::CompositeExplicitAutograd, "mask_pooling", mask_pooling_composed);
  on(kCpu, "label_map", label_map);
  on(kCpu, "dense_label_map", dense_label_map);
  on(kCpu, "panoptic_merge", panoptic_merge);
  on(kCpu, "select_instances", select_instances);
  on(kCpu, "rle_encode", rle_encode);
  on(kCpu, "rle_decode", rle_decode);
}

// Another copy of this library may have come first. With the same schemas its operators serve us
// as well; with others, ours must not be mixed with them.
std::string first_conflict(bool& present) {
  present = false;
  std::string conflict;
  for (const char* text : kSchemas) {
    const auto schema = torch::jit::parseSchema(std::string("lexiseg::") + text);
    const auto found = c10::Dispatcher::singleton().findSchema({schema.name(), ""});
    if (found) present = true;
    std::ostringstream theirs, ours;
    if (found) theirs << found->schema();
    ours << schema;
    if (conflict.empty() && theirs.str() != ours.str()) {
      conflict = found ? theirs.str() : schema.name() + " is missing";
    }
  }
  return present ? conflict : "";
}

std::string register_all() try {
  bool present = false;
  const std::string conflict = first_conflict(present);
  if (!conflict.empty()) {
    return "Another version of the lexiseg operators is loaded in this process (" + conflict + ")";
  }
  if (present) return "";
  auto library = std::make_unique<torch::Library>(torch::Library::FRAGMENT, "lexiseg", std::nullopt,
                                                  __FILE__, __LINE__);
  for (const char* schema : kSchemas) library->def(schema);
  implement(*library);
  // Never freed: threads of LibTorch may still call operators while the process exits.
  library.release();
  return "";
} catch (const c10::Error& error) {
  return std::string("The lexiseg operators could not be registered: ") +
         error.what_without_backtrace();
} catch (const std::exception& error) {
  return std::string("The lexiseg operators could not be registered: ") + error.what();
} catch (...) {
  return "The lexiseg operators could not be registered";
}

const std::string& registration() {
  static std::once_flag once;
  static const std::string* result = nullptr;
  std::call_once(once, [] { result = new std::string(register_all()); });
  return *result;
}

// Python's torch.ops.load_library only opens the library.
[[maybe_unused]] const bool registered_at_load = registration().empty();

}  // namespace

const char* version() { return kVersion; }
const char* registration_error() { return registration().c_str(); }

}  // namespace lexiseg::ops

extern "C" {
const char* lexiseg_ops_version() { return lexiseg::ops::version(); }
const char* lexiseg_ops_registration_error() { return lexiseg::ops::registration_error(); }
}
