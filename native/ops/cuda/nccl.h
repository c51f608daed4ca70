// The part of LibTorch's torch/csrc/cuda/nccl.h that is used here. That header wants the headers of
// cuBLAS, cuSOLVER and cuSPARSE beside it, which compiling kernels does not.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace torch::cuda::nccl {

using ncclComm_t = void*;

// Named as there: the name is part of the symbols.
struct ncclUniqueId {
  char internal[128];
};

constexpr int32_t kSum = 0;

void get_unique_id(ncclUniqueId& id);
ncclComm_t comm_init_rank(int nranks, const ncclUniqueId& comm_id, int rank);
void comm_destroy(ncclComm_t comm);
void all_reduce(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs, int32_t op,
                const std::vector<std::optional<c10::cuda::CUDAStream>>& streams,
                const std::vector<ncclComm_t>& user_comms);

}  // namespace torch::cuda::nccl
