// A loaded bundle: its exported methods on one device, in one dtype, sharing one set of weights.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lexiseg {

class Network;

struct LoadRequest {
  std::string path;
  std::string device;  // "cpu", "cuda", "cuda:n", "auto"
  std::string dtype;   // "float32", "bfloat16", "auto"
  int threads = 0;     // inside an operation; 0 is all that the process may use
  // Names of submodules whose weights stay float32 whatever the dtype.
  std::vector<std::string> keep_float32;
  // Exponents of the ensemble for seen and unseen classes, instead of the bundle's own.
  std::optional<std::pair<double, double>> ensemble;
  // Shorter and longer edge of the network input, pixels, instead of the bundle's own.
  std::optional<std::pair<int64_t, int64_t>> input_edges;
};

struct ModelInfo {
  c10::Device device;
  at::ScalarType dtype;
  std::string reason;  // why this device and dtype
  int64_t weight_bytes;
  std::vector<std::string> methods;
};

struct StageTime {
  std::string stage;
  double milliseconds;
};

// Every method below runs on an executor thread, and throws Error.
class Model {
 public:
  static std::shared_ptr<Model> load(const LoadRequest& request);
  ~Model();

  const ModelInfo& info() const { return info_; }
  int threads() const { return threads_; }

  // int64 [N, L] → float32 [N, D], unit norm.
  at::Tensor encode_text(const at::Tensor& token_ids);

  // uint8 [B, H, W, 3] → float32 [B, D], unit norm.
  at::Tensor encode_images(const at::Tensor& images);

  // uint8 [B, H, W, 3] → the proposals tuple.
  std::vector<at::Tensor> propose_masks(const at::Tensor& images);

  // uint8 [B, H, W, 3] and masks that another network made: logits float32 [B, Q, h, w] over its
  // padded input, the size of that, and of the image inside it, int64 [2] each → the proposals
  // tuple.
  std::vector<at::Tensor> embed_masks(const at::Tensor& images,
                                      const std::vector<at::Tensor>& masks);

  // proposals, float32 [S, D], int64 [K], bool [K] → float32 [B, Q, K + 1].
  at::Tensor classify_masks(const std::vector<at::Tensor>& proposals,
                            const at::Tensor& class_embeddings, const at::Tensor& synonym_counts,
                            const at::Tensor& seen);

  // uint8 [B, H, W, 3], float32 [S, D], int64 [K] → class logits float32 [B, K, h, w], what their
  // grid fills of the network input, (top, left, height, width) in pixels, float32 [4], and the
  // size of the resized image inside that, int64 [2].
  std::vector<at::Tensor> segment_dense(const at::Tensor& images,
                                        const at::Tensor& class_embeddings,
                                        const at::Tensor& synonym_counts);

  // uint8 [B, H, W, 3], float32 [S, D], int64 [K] → class logits float32 [B, K].
  at::Tensor classify_images(const at::Tensor& images, const at::Tensor& class_embeddings,
                             const at::Tensor& synonym_counts);

  // uint8 [B, H, W, 3], float32 [N, D] → cosines float32 [B, N, h, w], and the rest as
  // segment_dense.
  std::vector<at::Tensor> patch_similarity(const at::Tensor& images,
                                           const at::Tensor& text_embeddings);

  // uint8 [B, H, W, 3] → tokens float32 [B, h, w, W], embeddings float32 [B, h, w, D], and the size
  // of their grid and of the resized image, pixels, int64 [2] each.
  std::vector<at::Tensor> encode_patches(const at::Tensor& images);

  // Runs the named stage methods one after the other, each on what the one before gave.
  std::vector<StageTime> profile(const at::Tensor& images, const std::vector<std::string>& stages);

 private:
  Model(std::unique_ptr<Network> network, ModelInfo info, int threads);

  // All results of a method, finite, each in memory of its own.
  std::vector<at::Tensor> run_tensors(const std::string& method, std::vector<c10::IValue> inputs);

  std::unique_ptr<Network> network_;
  ModelInfo info_;
  int threads_;
};

}  // namespace lexiseg
