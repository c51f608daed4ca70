#include "ops/collective.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/div.h>
#include <torch/csrc/autograd/custom_function.h>

#include <mutex>

namespace lexiseg::ops {
namespace {

using at::Tensor;

std::mutex collective_mutex;
std::shared_ptr<Collective> collective;

std::shared_ptr<Collective> current() {
  const std::lock_guard lock(collective_mutex);
  return collective;
}

class GatherRanks : public torch::autograd::Function<GatherRanks> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& own) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->saved_data["rows"] = own.size(0);
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("lexiseg::gather_ranks", "")
                               .typed<decltype(gather_ranks)>();
    return op.call(own);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto ranks = current();
    if (!ranks) return {grads[0]};
    const int64_t rows = context->saved_data["rows"].toInt();
    return {ranks->all_reduce(grads[0].contiguous()).narrow(0, ranks->rank() * rows, rows)};
  }
};

}  // namespace

void set_collective(std::shared_ptr<Collective> next) {
  const std::lock_guard lock(collective_mutex);
  collective = std::move(next);
}

void drop_collective(const std::shared_ptr<Collective>& own) {
  const std::lock_guard lock(collective_mutex);
  if (collective == own) collective.reset();
}

Tensor gather_ranks(const Tensor& own) {
  TORCH_CHECK(own.dim() >= 1, "Expected at least one dimension for own but received a scalar");
  const auto ranks = current();
  return ranks ? ranks->all_gather(own.contiguous()) : own.clone();
}

Tensor gather_ranks_autograd(const Tensor& own) { return GatherRanks::apply(own); }

Tensor mean_over_ranks(const Tensor& own) {
  const auto ranks = current();
  const Tensor value = own.detach();
  return ranks ? ranks->all_reduce(value.contiguous()).div(ranks->size()) : value.clone();
}

}  // namespace lexiseg::ops
