// Minimum-cost matching of rows and columns (Hungarian matching).
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace lexiseg::ops {

// How the message of the error begins by which training learns that its numbers are no numbers.
inline constexpr const char* kCostNotFinite = "Expected finite values for cost";

// cost: floating point [N, M], all finite. Returns rows int64 and columns int64 of the min(N, M)
// matched pairs, rows rising. Any device; the work is done on the CPU in float64. Refuses a cost
// that is not finite, naming its row and column.
std::tuple<at::Tensor, at::Tensor> linear_sum_assignment(const at::Tensor& cost);

}  // namespace lexiseg::ops
