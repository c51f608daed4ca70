#include "core/trainer.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <utility>

#include "core/allocator.h"
#include "core/archive_writer.h"
#include "core/atomic_file.h"
#include "core/device.h"
#include "core/error.h"
#include "core/fused_adamw.h"
#include "core/processor.h"

namespace lexiseg {
namespace {

using at::Tensor;

// Products in bfloat16 while it lives; weights stay float32 and are cast once per forward pass.
class Autocast {
 public:
  Autocast(c10::DeviceType device, bool enabled) : device_(device), enabled_(enabled) {
    if (!enabled_) return;
    at::autocast::set_autocast_dtype(device_, at::kBFloat16);
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (!enabled_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
  bool enabled_;
};

// The executor's thread infers; within this it trains.
struct TrainingMode {
  c10::InferenceMode not_inference{false};
  at::AutoGradMode grad{true};
};

// A tensor that autograd may keep, on the device.
Tensor trainable_input(const Tensor& tensor, c10::Device device) {
  const Tensor there = tensor.to(device);
  return there.is_inference() ? there.clone() : there;
}

std::unique_ptr<torch::optim::Optimizer> make_optimizer(
    const OptimizerRequest& request, const std::vector<torch::optim::OptimizerParamGroup>& groups) {
  namespace optim = torch::optim;
  if (request.kind == "adamw") {
    const auto defaults = optim::AdamWOptions(1e-3)
                              .betas(std::make_tuple(request.beta1, request.beta2))
                              .eps(request.epsilon);
    return std::make_unique<FusedAdamW>(groups, defaults);
  }
  if (request.kind == "sgd") {
    return std::make_unique<optim::SGD>(groups, optim::SGDOptions(1e-3).momentum(request.momentum));
  }
  throw Error(code::kArgument,
              "Expected adamw or sgd for optimizer but received \"" + request.kind + "\"");
}

std::unique_ptr<torch::optim::OptimizerOptions> group_options(const OptimizerRequest& request,
                                                              double weight_decay) {
  namespace optim = torch::optim;
  if (request.kind == "sgd") {
    return std::make_unique<optim::SGDOptions>(
        optim::SGDOptions(1e-3).momentum(request.momentum).weight_decay(weight_decay));
  }
  return std::make_unique<optim::AdamWOptions>(
      optim::AdamWOptions(1e-3)
          .betas(std::make_tuple(request.beta1, request.beta2))
          .eps(request.epsilon)
          .weight_decay(weight_decay));
}

}  // namespace

Trainer::Trainer(std::unique_ptr<TrainingProgram> program, TrainerInfo info)
    : program_(std::move(program)), info_(std::move(info)) {}

Trainer::~Trainer() {
  if (group_) ops::drop_collective(group_);
}

std::shared_ptr<Trainer> Trainer::open(const TrainerRequest& request) {
  if (request.precision != "float32" && request.precision != "bfloat16") {
    throw Error(code::kArgument, "Expected float32 or bfloat16 for precision but received \"" +
                                     request.precision + "\"");
  }
  const TrainingMode mode;
  const ChosenDevice chosen = choose_device(request.device);
  auto program = TrainingProgram::load(Archive::open(request.path), chosen.device);
  TrainerInfo info{chosen.device, chosen.reason, request.precision == "bfloat16", 0, 0};
  std::shared_ptr<Trainer> trainer(new Trainer(std::move(program), std::move(info)));
  trainer->threads_ = request.threads > 0 ? request.threads : available_threads();
  trainer->adopt(request);
  return trainer;
}

void Trainer::adopt(const TrainerRequest& request) {
  frozen_ = program_->parameters();
  std::vector<torch::optim::OptimizerParamGroup> groups;
  NamedTensors trained;
  for (const ParameterGroup& group : request.groups) {
    std::vector<Tensor> values;
    for (const std::string& name : group.parameters) {
      const auto found = frozen_.find(name);
      if (found == frozen_.end()) {
        throw Error(code::kBundleContract, "The bundle has no parameter " + name +
                                               ", or names it in two groups of its manifest");
      }
      Tensor value = found->second;
      value.requires_grad_(true);
      frozen_.erase(found);
      trained.emplace(name, value);
      info_.trained_parameters += value.numel();
      const Tensor average = request.ema_decay > 0 ? value.detach().clone() : Tensor();
      trained_.push_back({name, value, average, group.bounds});
      values.push_back(value);
    }
    groups.emplace_back(std::move(values), group_options(request.optimizer, group.weight_decay));
    multipliers_.push_back(group.learning_rate_multiplier);
  }
  if (trained_.empty()) throw Error(code::kArgument, "Nothing is left to train");
  for (const auto& [name, value] : frozen_) info_.frozen_parameters += value.numel();
  if (info_.autocast) {
    frozen_.merge(program_->cast_others(trained, {at::kBFloat16, request.keep_float32}));
  }
  optimizer_ = make_optimizer(request.optimizer, groups);
  optimizer_kind_ = request.optimizer.kind;
  ema_decay_ = request.ema_decay;
}

void Trainer::join(std::shared_ptr<ProcessGroup> group) {
  std::vector<Tensor> values;
  for (const Parameter& parameter : trained_) values.push_back(parameter.value);
  buckets_ = std::make_unique<GradientBuckets>(std::move(values), group);
  group_ = std::move(group);
  ops::set_collective(group_);
}

const char* Trainer::backend() const { return group_ ? group_->backend() : nullptr; }

Tensor Trainer::sum_over_ranks(const Tensor& own) {
  const c10::InferenceMode off(false);
  return group_ ? group_->all_reduce(own) : own;
}

void Trainer::drop_gradients() {
  if (buckets_) buckets_->disarm();
  for (Parameter& parameter : trained_) parameter.value.mutable_grad().reset();
}

// Means over the ranks, so that all of them see what one process would, and stop together.
Losses Trainer::read_losses(const NamedTensors& losses) const {
  std::vector<double> own;
  for (const auto& [name, loss] : losses) {
    if (loss.numel() != 1) {
      throw Error(code::kBundleContract, "Expected a scalar for the loss " + name);
    }
    own.push_back(loss.detach().to(at::kDouble).item<double>());
  }
  const Tensor mean =
      group_ ? group_->all_reduce(at::tensor(own, at::kDouble)).div(group_->size()) : Tensor();
  Losses values;
  for (const auto& [name, loss] : losses) {
    const size_t i = values.size();
    const double value = mean.defined() ? mean[static_cast<int64_t>(i)].item<double>() : own[i];
    if (!std::isfinite(value)) {
      const bool elsewhere = std::isfinite(own[i]);
      throw Error(code::kNotFinite, "The loss " + name + " is " +
                                        (std::isnan(value) ? "NaN" : "infinite") +
                                        (elsewhere ? " on another rank" : ""));
    }
    values.emplace_back(name, value);
  }
  return values;
}

Losses Trainer::accumulate(const NamedTensors& batch, double scale, bool first, bool last) {
  const TrainingMode mode;
  if (first) drop_gradients();
  try {
    NamedTensors inputs;
    for (const auto& [name, tensor] : batch) {
      inputs.emplace(name, trainable_input(tensor, info_.device));
    }
    NamedTensors losses;
    {
      const Autocast autocast(info_.device.type(), info_.autocast);
      losses = program_->losses(inputs);
    }
    const Losses values = read_losses(losses);
    Tensor total;
    for (const auto& [name, loss] : losses) total = total.defined() ? total + loss : loss;
    if (!total.requires_grad()) {
      throw Error(code::kTraining, "The losses depend on nothing that is trained");
    }
    if (buckets_ && last) buckets_->arm();
    torch::autograd::backward({total * scale}, {});
    return values;
  } catch (const c10::OutOfMemoryError&) {
    drop_gradients();
    throw;
  } catch (const c10::Error& error) {
    drop_gradients();
    throw Error(code::kTraining, error.what_without_backtrace());
  } catch (...) {
    drop_gradients();
    throw;
  }
}

double Trainer::update(double learning_rate, double max_norm) {
  const TrainingMode mode;
  const at::NoGradGuard no_grad;
  if (buckets_) buckets_->finish();
  std::vector<Tensor> norms;
  for (const Parameter& parameter : trained_) {
    const Tensor& gradient = parameter.value.grad();
    if (gradient.defined()) norms.push_back(at::linalg_vector_norm(gradient));
  }
  if (norms.empty()) throw Error(code::kTraining, "No gradients: accumulate comes before update");
  const double norm = at::linalg_vector_norm(at::stack(norms).to(at::kDouble)).item<double>();
  if (!std::isfinite(norm)) {
    drop_gradients();
    throw Error(code::kNotFinite, "The norm of the gradients is not finite");
  }
  // Half a step would be neither the state before nor the one after.
  const AbortScope whole(nullptr);
  if (max_norm > 0 && norm > max_norm) {
    const double factor = max_norm / (norm + 1e-6);
    for (Parameter& parameter : trained_) {
      if (parameter.value.grad().defined()) parameter.value.mutable_grad().mul_(factor);
    }
  }
  for (size_t i = 0; i < multipliers_.size(); ++i) {
    optimizer_->param_groups()[i].options().set_lr(learning_rate * multipliers_[i]);
  }
  optimizer_->step();
  for (Parameter& parameter : trained_) {
    if (parameter.bounds) {
      parameter.value.clamp_(parameter.bounds->first, parameter.bounds->second);
    }
  }
  ++step_;
  if (ema_decay_ > 0) {
    // A young average would remember the random start for long.
    const auto count = static_cast<double>(step_);
    const double decay = std::min(ema_decay_, (1.0 + count) / (10.0 + count));
    for (Parameter& parameter : trained_) parameter.average.lerp_(parameter.value, 1.0 - decay);
  }
  drop_gradients();
  return norm;
}

Tensor Trainer::encode_text(const Tensor& token_ids) {
  const c10::InferenceMode off(false);
  const at::NoGradGuard no_grad;
  const Autocast autocast(info_.device.type(), info_.autocast);
  return program_->encode_text(token_ids.to(info_.device)).to(at::kFloat).cpu().contiguous();
}

NamedTensors Trainer::weights(bool moving_average) const {
  NamedTensors weights = frozen_;
  for (const Parameter& parameter : trained_) {
    const bool averaged = moving_average && parameter.average.defined();
    weights.emplace(parameter.name, averaged ? parameter.average : parameter.value.detach());
  }
  return weights;
}

std::string Trainer::write_bundle(const BundleRequest& request) {
  const c10::InferenceMode off(false);
  const std::string zeros(64, '0');
  const size_t place = request.manifest.find(zeros);
  if (place == std::string::npos || request.manifest.find(zeros, place + 1) != std::string::npos) {
    throw Error(code::kArgument, "Expected one place for the hash in the manifest");
  }
  const NamedTensors all = weights(request.moving_average);
  // The hash covers what is written, so a copy without the manifest is hashed first.
  const AtomicFile saved(request.path), plain(request.path);
  program_->write(saved.path(), all, request.format);
  write_archive(saved.path(), plain.path(), {});
  const std::string hash = Archive::open(plain.path())->hash_weights();
  auto files = request.extra_files;
  files["manifest.json"] = std::string(request.manifest).replace(place, zeros.size(), hash);
  AtomicFile file(request.path);
  write_archive(plain.path(), file.path(), files);
  file.commit();
  return hash;
}

}  // namespace lexiseg
