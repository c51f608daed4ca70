#include "core/distributed/gradient_buckets.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <utility>

namespace lexiseg {
namespace {

// Large enough that latency does not count, small enough that the first is soon full.
constexpr int64_t kBucketNumbers = 1 << 20;

// Tells when a parameter's gradient has been accumulated.
class GradientReady final : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit GradientReady(std::function<void()> tell) : tell_(std::move(tell)) {}
  void operator()(const torch::autograd::Variable&) override { tell_(); }

 private:
  std::function<void()> tell_;
};

}  // namespace

GradientBuckets::GradientBuckets(std::vector<at::Tensor> parameters,
                                 std::shared_ptr<ProcessGroup> group)
    : parameters_(std::move(parameters)), group_(std::move(group)), bucket_of_(parameters_.size()) {
  for (size_t i = parameters_.size(); i-- > 0;) {
    const int64_t numbers = parameters_[i].numel();
    if (buckets_.empty() || buckets_.back().numbers + numbers > kBucketNumbers) {
      buckets_.emplace_back();
    }
    buckets_.back().members.push_back(i);
    buckets_.back().numbers += numbers;
    bucket_of_[i] = buckets_.size() - 1;
    torch::autograd::impl::set_post_acc_grad_hooks(
        parameters_[i], std::make_unique<GradientReady>([this, i] { note(i); }));
  }
}

GradientBuckets::~GradientBuckets() {
  for (at::Tensor& parameter : parameters_) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  }
}

void GradientBuckets::arm() {
  for (Bucket& bucket : buckets_) bucket.missing = bucket.members.size();
  launched_ = 0;
  armed_ = true;
}

void GradientBuckets::note(size_t parameter) {
  if (!armed_) return;
  --buckets_[bucket_of_[parameter]].missing;
  while (launched_ < buckets_.size() && buckets_[launched_].missing == 0) {
    launch(buckets_[launched_++]);
  }
}

void GradientBuckets::launch(Bucket& bucket) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  std::vector<float> present;
  for (const size_t member : bucket.members) {
    const at::Tensor& gradient = parameters_[member].grad();
    present.push_back(gradient.defined() ? 1.0F : 0.0F);
    parts.push_back(gradient.defined()
                        ? gradient.reshape({-1})
                        : at::zeros({parameters_[member].numel()}, parameters_[member].options()));
  }
  parts.push_back(at::tensor(present, parts[0].options()));
  bucket.flat = group_->summable(at::cat(parts));
  bucket.sum.emplace(group_->start_sum(bucket.flat));
}

void GradientBuckets::finish() {
  const at::NoGradGuard no_grad;
  armed_ = false;
  for (; launched_ < buckets_.size(); ++launched_) launch(buckets_[launched_]);
  for (Bucket& bucket : buckets_) {
    bucket.sum->wait();
    bucket.sum.reset();
    const at::Tensor present =
        bucket.flat.narrow(0, bucket.numbers, static_cast<int64_t>(bucket.members.size())).cpu();
    int64_t start = 0;
    for (size_t i = 0; i < bucket.members.size(); ++i) {
      at::Tensor& parameter = parameters_[bucket.members[i]];
      const at::Tensor sum =
          bucket.flat.narrow(0, start, parameter.numel()).view(parameter.sizes());
      start += parameter.numel();
      if (present[static_cast<int64_t>(i)].item<float>() == 0.0F) continue;
      parameter.mutable_grad() = sum.to(parameter.device()).div(group_->size());
    }
    bucket.flat.reset();
  }
}

void GradientBuckets::disarm() {
  armed_ = false;
  for (Bucket& bucket : buckets_) {
    bucket.sum.reset();
    bucket.flat.reset();
  }
}

}  // namespace lexiseg
