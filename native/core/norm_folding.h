// Batch norms with stored statistics become part of the convolutions before them.
#pragma once

namespace torch::jit {
struct Module;
}

namespace lexiseg {

// Folds every part that holds a convolution `conv` without bias and a batch norm `norm`, in double
// precision; the norm is left with its shift alone. Rounding weights and statistics to bfloat16
// one by one, before LibTorch folds what it can, costs several times the error of one rounding.
// Changes the weights of `module` in place.
void fold_norms(const torch::jit::Module& module);

}  // namespace lexiseg
