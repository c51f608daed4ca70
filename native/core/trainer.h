// A bundle in training: gradients, the optimiser, the moving average, and their state on disk.
// Used by one executor thread at a time.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/input-archive.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/distributed/gradient_buckets.h"
#include "core/training_program.h"

namespace lexiseg {

// Parameters that train in one way.
struct ParameterGroup {
  std::vector<std::string> parameters;
  double learning_rate_multiplier;
  double weight_decay;
  // Least and most of every number, held after each step.
  std::optional<std::pair<double, double>> bounds;
};

struct OptimizerRequest {
  std::string kind;  // "adamw" or "sgd"
  double beta1, beta2, epsilon;
  double momentum;
};

struct TrainerRequest {
  std::string path;
  std::string device;     // as in LoadRequest
  std::string precision;  // "float32", or "bfloat16": autocast, weights stay float32
  int threads = 0;
  std::vector<ParameterGroup> groups;  // what is in none is frozen
  std::vector<std::string> keep_float32;
  OptimizerRequest optimizer;
  double ema_decay = 0;  // of the moving average of the weights; 0 keeps none
};

struct TrainerInfo {
  c10::Device device;
  std::string reason;
  bool autocast;
  int64_t trained_parameters;  // numbers, not tensors
  int64_t frozen_parameters;
};

// What a bundle is written with.
struct BundleRequest {
  std::string path;
  bool moving_average;
  WeightFormat format;
  // The text of its manifest; 64 zeros in it become the hash of the weights.
  std::string manifest;
  std::map<std::string, std::string> extra_files;
};

// By name, in the order of the names.
using Losses = std::vector<std::pair<std::string, double>>;

class Trainer {
 public:
  static std::shared_ptr<Trainer> open(const TrainerRequest& request);
  ~Trainer();

  const TrainerInfo& info() const { return info_; }
  int threads() const { return threads_; }
  int64_t step() const { return step_; }

  // From now on every call but encode_text, save and write_bundle is made by all processes of the
  // group, and trains on the batches of all of them.
  void join(std::shared_ptr<ProcessGroup> group);
  // What carries gradients between the processes: "gloo", "nccl", or null without a group.
  const char* backend() const;
  // The sum over the processes of the group; without one the tensor itself.
  at::Tensor sum_over_ranks(const at::Tensor& own);

  // Adds the gradients of scale * (sum of the losses) and gives the losses, in the order of their
  // names. A loss that is not finite is ERR_NOT_FINITE, and all gradients are dropped.
  // first: of a step; gradients that an abandoned one has left are dropped before.
  // last: update comes next.
  Losses accumulate(const NamedTensors& batch, double scale, bool first, bool last);

  // One step of the optimiser from the gradients gathered so far; gives their L2 norm before
  // clipping to `max_norm` (0: none). A norm that is not finite is ERR_NOT_FINITE and no step. Once
  // the weights begin to change, nothing cancels it.
  double update(double learning_rate, double max_norm);

  at::Tensor encode_text(const at::Tensor& token_ids);

  // Weights, optimiser, moving average and step. The file appears whole or not at all.
  void save(const std::string& path) const;
  // Throws Error(ERR_CHECKPOINT) and changes nothing when the file does not fit.
  void restore(const std::string& path);

  // Writes a bundle of the weights as they are; it appears whole or not at all. Gives its hash.
  std::string write_bundle(const BundleRequest& request);

 private:
  struct Parameter {
    std::string name;
    at::Tensor value;    // a leaf of autograd
    at::Tensor average;  // undefined without a moving average
    std::optional<std::pair<double, double>> bounds;
  };

  Trainer(std::unique_ptr<TrainingProgram> program, TrainerInfo info);
  void adopt(const TrainerRequest& request);
  // The state of the optimiser becomes the archive's, or stays.
  void load_optimizer(torch::serialize::InputArchive& archive);
  void drop_gradients();
  Losses read_losses(const NamedTensors& losses) const;
  NamedTensors weights(bool moving_average) const;

  std::unique_ptr<TrainingProgram> program_;
  TrainerInfo info_;
  int threads_ = 0;
  std::vector<Parameter> trained_;  // in the order of the groups
  NamedTensors frozen_;             // and buffers that were cast; as they were read, float32
  std::vector<double> multipliers_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::string optimizer_kind_;
  double ema_decay_ = 0;
  int64_t step_ = 0;
  std::shared_ptr<ProcessGroup> group_;       // null for a process on its own
  std::unique_ptr<GradientBuckets> buckets_;  // with a group; goes before what it watches
};

}  // namespace lexiseg
