// Gradients of several processes averaged while backward is still computing the rest.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "core/distributed/process_group.h"

namespace lexiseg {

// Parameters share a bucket in the order in which backward reaches them, the last first. A bucket
// is summed as soon as all its gradients are there and all buckets before it are under way, so
// that every rank sums in the same order. Used by one thread at a time.
class GradientBuckets {
 public:
  // The parameters must be leaves and outlive this object.
  GradientBuckets(std::vector<at::Tensor> parameters, std::shared_ptr<ProcessGroup> group);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // From now on gradients are summed as they come; before the last backward of a step.
  void arm();

  // Sums what is left, waits, and puts the means in the place of the gradients. A parameter without
  // a gradient on any rank keeps none. Throws Error(ERR_DISTRIBUTED).
  void finish();

  // Forgets a backward that failed.
  void disarm();

 private:
  struct Bucket {
    std::vector<size_t> members;
    int64_t numbers = 0;
    size_t missing = 0;
    at::Tensor flat;  // the gradients, then for each member whether there was one
    std::optional<PendingSum> sum;
  };

  void note(size_t parameter);
  void launch(Bucket& bucket);

  std::vector<at::Tensor> parameters_;
  std::shared_ptr<ProcessGroup> group_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;
  size_t launched_ = 0;
  bool armed_ = false;
};

}  // namespace lexiseg
