// AdamW whose step reads and writes every number once.
#pragma once

#include <torch/optim/adamw.h>

namespace lexiseg {

// LibTorch's AdamW, and its state on disk; float32 parameters on the CPU take their step in one
// kernel over all of them, others as LibTorch does it.
class FusedAdamW : public torch::optim::AdamW {
 public:
  using AdamW::AdamW;

  // No closure: the losses are known already.
  at::Tensor step(LossClosure closure = nullptr) override;

 private:
  // Whether the kernel takes the step; every parameter with a gradient then has its state.
  bool prepare();
};

}  // namespace lexiseg
