// What several training processes compute together: operators that are the identity for one.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "ops/export.h"

namespace lexiseg::ops {

// The processes of one run. Implemented above this library; every call is made by all ranks in the
// same order, from the thread that runs the network or from the autograd engine's.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  // [n, ...] of every rank, all of one shape, one after another: [size * n, ...].
  virtual at::Tensor all_gather(const at::Tensor& own) = 0;
  // The sum over ranks.
  virtual at::Tensor all_reduce(const at::Tensor& own) = 0;
};

// Used from now on by the operators of this process.
LEXISEG_OPS_API void set_collective(std::shared_ptr<Collective> collective);

// The process is on its own again, unless another has taken the place of this one.
LEXISEG_OPS_API void drop_collective(const std::shared_ptr<Collective>& own);

// The rows of all ranks, [B, ...] to [size * B, ...]; gradients of all ranks come back summed.
at::Tensor gather_ranks(const at::Tensor& own);
at::Tensor gather_ranks_autograd(const at::Tensor& own);

// The mean over ranks; no gradient flows through it.
at::Tensor mean_over_ranks(const at::Tensor& own);

}  // namespace lexiseg::ops
