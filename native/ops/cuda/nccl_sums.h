// Sums over GPUs by the NCCL that LibTorch holds.
#pragma once

namespace lexiseg::ops::cuda {

// Tells the ops library of them.
void offer_nccl_sums();

}  // namespace lexiseg::ops::cuda
