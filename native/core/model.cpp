#include "core/model.h"

#include <ATen/ATen.h>

#include <chrono>

#include "core/allocator.h"
#include "core/device.h"
#include "core/error.h"
#include "core/network.h"
#include "core/processor.h"

namespace lexiseg {
namespace {

using at::Tensor;

std::string described(const Tensor& tensor) {
  std::string text = std::string(c10::toString(tensor.scalar_type())) + " [";
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(tensor.size(i));
  }
  return text + "]";
}

void expect(bool fits, const char* what, const char* name, const Tensor& tensor) {
  if (fits) return;
  throw Error(code::kTensor, std::string("Expected ") + what + " for " + name + " but received " +
                                 described(tensor));
}

constexpr int64_t kMaxSide = 1 << 15;

void check_images(const Tensor& images) {
  expect(images.dim() == 4 && images.size(3) == 3 && images.scalar_type() == at::kByte,
         "uint8 [B, H, W, 3]", "images", images);
  if (images.numel() == 0 || images.size(1) > kMaxSide || images.size(2) > kMaxSide) {
    throw Error(code::kImageSize,
                "Expected sides of 1 to 32768 pixels for images but received " + described(images));
  }
}

// Not a number and infinity spread through every layer, so the ends of the range tell of them.
void check_finite(const Tensor& tensor, const std::string& method) {
  if (tensor.numel() == 0 || !tensor.is_floating_point()) return;
  const auto [least, most] = tensor.aminmax();
  if (!std::isfinite(least.to(at::kFloat).item<float>()) ||
      !std::isfinite(most.to(at::kFloat).item<float>())) {
    throw Error(code::kNotFinite, "The network gave NaN or infinity in " + method);
  }
}

// Minus infinity is a lawful logarithm of a probability of zero.
void check_log_probs(const Tensor& log_probs) {
  if (log_probs.numel() == 0) return;
  const float most = log_probs.max().to(at::kFloat).item<float>();
  if (!std::isfinite(most)) {
    throw Error(code::kNotFinite, "The network gave NaN or infinity in classify_masks");
  }
}

void check_embeddings(const Tensor& embeddings, const char* shape, const char* name) {
  expect(embeddings.dim() == 2 && embeddings.numel() > 0 && embeddings.scalar_type() == at::kFloat,
         shape, name, embeddings);
}

// Height and width, on the CPU.
Tensor check_frame(const Tensor& size, const char* name) {
  expect(size.dim() == 1 && size.size(0) == 2 && size.scalar_type() == at::kLong, "int64 [2]", name,
         size);
  Tensor frame = size.cpu();
  if (frame.min().item<int64_t>() < 1 || frame.max().item<int64_t>() > kMaxSide) {
    throw Error(code::kTensor, std::string("Expected sides of 1 to 32768 pixels for ") + name);
  }
  return frame;
}

// The counts on the CPU.
Tensor check_classes(const Tensor& class_embeddings, const Tensor& synonym_counts) {
  check_embeddings(class_embeddings, "float32 [S, D]", "classEmbeddings");
  expect(synonym_counts.dim() == 1 && synonym_counts.numel() > 0 &&
             synonym_counts.scalar_type() == at::kLong,
         "int64 [K]", "synonymCounts", synonym_counts);
  Tensor counts = synonym_counts.cpu();
  if (counts.min().item<int64_t>() < 1 || counts.max().item<int64_t>() > class_embeddings.size(0) ||
      counts.sum().item<int64_t>() != class_embeddings.size(0)) {
    throw Error(code::kTensor, "Expected synonymCounts of at least 1 that add up to " +
                                   std::to_string(class_embeddings.size(0)));
  }
  return counts;
}

// A result in contiguous memory that belongs to nobody else.
Tensor own_result(Tensor result, const std::vector<c10::IValue>& inputs) {
  result = result.contiguous();
  if (!result.has_storage() || result.numel() == 0) return result;
  const size_t used = static_cast<size_t>(result.numel()) * result.element_size();
  bool shared = result.storage().nbytes() > 2 * used + 4096;
  for (const c10::IValue& input : inputs) {
    for (const Tensor& tensor : tensors_of(input)) shared = shared || result.is_alias_of(tensor);
  }
  return shared ? result.clone() : result;
}

struct Precision {
  at::ScalarType dtype;
  std::string reason;
};

Precision choose_precision(const std::string& name, c10::Device device) {
  if (name == "float32") return {at::kFloat, "float32 was asked for"};
  if (name == "bfloat16") return {at::kBFloat16, "bfloat16 was asked for"};
  if (name != "auto") {
    throw Error(code::kArgument,
                "Expected float32, bfloat16 or auto for dtype but received \"" + name + "\"");
  }
  if (device.is_cuda()) return {at::kBFloat16, "auto: the GPU multiplies bfloat16"};
  if (cpu_multiplies_bfloat16()) return {at::kBFloat16, "auto: the processor multiplies bfloat16"};
  return {at::kFloat, "auto: the processor has no bfloat16 products"};
}

void check_methods(const Network& network) {
  const std::pair<const char*, size_t> known[] = {
      {"encode_text", 1},      {"encode_image", 1},   {"propose_masks", 1},
      {"classify_masks", 4},   {"segment_dense", 3},  {"classify_image", 3},
      {"patch_similarity", 2}, {"encode_patches", 1}, {"embed_masks", 4}};
  for (const auto& [method, arguments] : known) {
    if (!network.has(method) || network.argument_count(method) == arguments) continue;
    throw Error(code::kBundleContract, std::string("Method ") + method + " takes " +
                                           std::to_string(network.argument_count(method)) +
                                           " arguments, not " + std::to_string(arguments));
  }
  if (network.has("classify_masks") && network.tuple_width("classify_masks", 0) == 0) {
    throw Error(code::kBundleContract, "Method classify_masks takes no tuple of proposals");
  }
}

}  // namespace

Model::Model(std::unique_ptr<Network> network, ModelInfo info, int threads)
    : network_(std::move(network)), info_(std::move(info)), threads_(threads) {}

Model::~Model() = default;

std::shared_ptr<Model> Model::load(const LoadRequest& request) {
  const auto archive = Archive::open(request.path);
  const ChosenDevice chosen = choose_device(request.device);
  const Precision precision = choose_precision(request.dtype, chosen.device);
  auto network = Network::load(archive, {chosen.device, precision.dtype, request.keep_float32,
                                         request.ensemble, request.input_edges});
  check_methods(*network);
  // The file's tensors were larger than the weights that stay.
  trim_allocator();
  ModelInfo info{chosen.device, precision.dtype, chosen.reason + "; " + precision.reason,
                 network->weight_bytes(), network->methods()};
  const int threads = request.threads > 0 ? request.threads : available_threads();
  return std::shared_ptr<Model>(new Model(std::move(network), std::move(info), threads));
}

Tensor Model::encode_text(const Tensor& token_ids) {
  expect(token_ids.dim() == 2 && token_ids.numel() > 0 && token_ids.scalar_type() == at::kLong,
         "int64 [N, L]", "tokenIds", token_ids);
  const std::vector<c10::IValue> inputs{token_ids.to(info_.device)};
  const auto result = network_->run("encode_text", inputs);
  expect(result.isTensor(), "a tensor", "the result of encode_text", token_ids);
  check_finite(result.toTensor(), "encode_text");
  return own_result(result.toTensor(), inputs);
}

Tensor Model::encode_images(const Tensor& images) {
  check_images(images);
  const std::vector<c10::IValue> inputs{images.to(info_.device).contiguous()};
  const Tensor embeddings = tensors_of(network_->run("encode_image", inputs)).at(0);
  check_finite(embeddings, "encode_image");
  return own_result(embeddings, inputs);
}

std::vector<Tensor> Model::propose_masks(const Tensor& images) {
  check_images(images);
  return run_tensors("propose_masks", {images.to(info_.device).contiguous()});
}

std::vector<Tensor> Model::embed_masks(const Tensor& images, const std::vector<Tensor>& masks) {
  check_images(images);
  if (masks.size() != 3) throw Error(code::kTensor, "Expected 3 tensors for masks");
  const Tensor& logits = masks[0];
  expect(logits.dim() == 4 && logits.numel() > 0 && logits.scalar_type() == at::kFloat &&
             logits.size(0) == images.size(0),
         "float32 [B, Q, h, w]", "maskLogits", logits);
  const Tensor network = check_frame(masks[1], "networkSize");
  const Tensor valid = check_frame(masks[2], "validSize");
  if (at::gt(valid, network).any().item<bool>()) {
    throw Error(code::kTensor, "Expected validSize within networkSize");
  }
  return run_tensors("embed_masks",
                     {images.to(info_.device).contiguous(), logits.to(info_.device).contiguous(),
                      network.to(info_.device), valid.to(info_.device)});
}

Tensor Model::classify_masks(const std::vector<Tensor>& proposals, const Tensor& class_embeddings,
                             const Tensor& synonym_counts, const Tensor& seen) {
  const Tensor counts = check_classes(class_embeddings, synonym_counts);
  expect(
      seen.dim() == 1 && seen.scalar_type() == at::kBool && seen.sizes() == synonym_counts.sizes(),
      "bool [K]", "seen", seen);
  const size_t wanted = network_->has("classify_masks") ? network_->tuple_width("classify_masks", 0)
                                                        : proposals.size();
  if (proposals.size() != wanted) {
    throw Error(code::kTensor, "Expected " + std::to_string(wanted) +
                                   " tensors for proposals but received " +
                                   std::to_string(proposals.size()));
  }
  std::vector<c10::IValue> fields;
  for (const Tensor& tensor : proposals) fields.emplace_back(tensor.to(info_.device));
  // A byte of a caller's array may be any value; a bool of the network is 0 or 1.
  const auto flags = seen.contiguous().view(at::kByte).ne(0);
  const std::vector<c10::IValue> inputs{c10::ivalue::Tuple::create(std::move(fields)),
                                        class_embeddings.to(info_.device), counts.to(info_.device),
                                        flags.to(info_.device)};
  const auto result = network_->run("classify_masks", inputs);
  const Tensor log_probs = tensors_of(result).at(0);
  check_log_probs(log_probs);
  return own_result(log_probs, inputs);
}

std::vector<Tensor> Model::run_tensors(const std::string& method, std::vector<c10::IValue> inputs) {
  std::vector<Tensor> results = tensors_of(network_->run(method, inputs));
  for (Tensor& tensor : results) {
    check_finite(tensor, method);
    tensor = own_result(tensor, inputs);
  }
  return results;
}

std::vector<Tensor> Model::segment_dense(const Tensor& images, const Tensor& class_embeddings,
                                         const Tensor& synonym_counts) {
  check_images(images);
  const Tensor counts = check_classes(class_embeddings, synonym_counts);
  return run_tensors("segment_dense", {images.to(info_.device).contiguous(),
                                       class_embeddings.to(info_.device), counts.to(info_.device)});
}

Tensor Model::classify_images(const Tensor& images, const Tensor& class_embeddings,
                              const Tensor& synonym_counts) {
  check_images(images);
  const Tensor counts = check_classes(class_embeddings, synonym_counts);
  return run_tensors("classify_image", {images.to(info_.device).contiguous(),
                                        class_embeddings.to(info_.device), counts.to(info_.device)})
      .at(0);
}

std::vector<Tensor> Model::patch_similarity(const Tensor& images, const Tensor& text_embeddings) {
  check_images(images);
  check_embeddings(text_embeddings, "float32 [N, D]", "textEmbeddings");
  return run_tensors("patch_similarity",
                     {images.to(info_.device).contiguous(), text_embeddings.to(info_.device)});
}

std::vector<Tensor> Model::encode_patches(const Tensor& images) {
  check_images(images);
  return run_tensors("encode_patches", {images.to(info_.device).contiguous()});
}

std::vector<StageTime> Model::profile(const Tensor& images,
                                      const std::vector<std::string>& stages) {
  check_images(images);
  c10::IValue value = images.to(info_.device).contiguous();
  std::vector<StageTime> times;
  for (const std::string& stage : stages) {
    synchronize(info_.device);
    const auto begin = std::chrono::steady_clock::now();
    value = network_->run(stage, {std::move(value)});
    synchronize(info_.device);
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - begin;
    times.push_back({stage, passed.count()});
  }
  return times;
}

}  // namespace lexiseg
