#include "ops/linear_sum_assignment.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "ops/check.h"

namespace lexiseg::ops {
namespace {

// Shortest augmenting paths with dual variables (Crouse 2016), rows <= columns.
std::vector<int64_t> match_rows(const double* cost, int64_t rows, int64_t columns) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> row_dual(rows), column_dual(columns), path_cost(columns);
  std::vector<int64_t> row_of(columns, -1), column_of(rows, -1), previous(columns);
  std::vector<char> row_seen(rows), column_seen(columns);
  for (int64_t start = 0; start < rows; ++start) {
    std::fill(path_cost.begin(), path_cost.end(), kInfinity);
    std::fill(row_seen.begin(), row_seen.end(), 0);
    std::fill(column_seen.begin(), column_seen.end(), 0);
    double shortest = 0;
    int64_t row = start, sink = -1;
    while (sink < 0) {
      row_seen[row] = 1;
      int64_t nearest = -1;
      for (int64_t j = 0; j < columns; ++j) {
        if (column_seen[j]) continue;
        const double through = shortest + cost[row * columns + j] - row_dual[row] - column_dual[j];
        if (through < path_cost[j]) {
          path_cost[j] = through;
          previous[j] = row;
        }
        // Among equals a free column ends the search sooner.
        const bool closer = nearest < 0 || path_cost[j] < path_cost[nearest] ||
                            (path_cost[j] == path_cost[nearest] && row_of[j] < 0);
        if (closer) nearest = j;
      }
      shortest = path_cost[nearest];
      column_seen[nearest] = 1;
      if (row_of[nearest] < 0) {
        sink = nearest;
      } else {
        row = row_of[nearest];
      }
    }
    row_dual[start] += shortest;
    for (int64_t i = 0; i < rows; ++i) {
      if (row_seen[i] && i != start) row_dual[i] += shortest - path_cost[column_of[i]];
    }
    for (int64_t j = 0; j < columns; ++j) {
      if (column_seen[j]) column_dual[j] -= shortest - path_cost[j];
    }
    for (int64_t j = sink; j >= 0;) {
      const int64_t i = previous[j];
      row_of[j] = i;
      j = std::exchange(column_of[i], j);
      if (i == start) break;
    }
  }
  return column_of;
}

// Brings the largest cost near 1 by a power of two, which rounds nothing that matters: sums of the
// largest numbers would overflow.
void normalise(double* cost, int64_t count) {
  double most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::abs(cost[i]));
  if (most == 0) return;
  const int exponent = std::ilogb(most);
  for (int64_t i = 0; i < count; ++i) cost[i] = std::ldexp(cost[i], -exponent);
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> linear_sum_assignment(const at::Tensor& cost) {
  LEXISEG_EXPECT(cost.dim() == 2 && cost.is_floating_point(), "floating-point [N, M]", "cost",
                 describe(cost));
  const auto dense =
      cost.detach().to(at::kCPU, at::kDouble, /*non_blocking=*/false, /*copy=*/true).contiguous();
  const double* values = dense.const_data_ptr<double>();
  for (int64_t i = 0; i < dense.numel(); ++i) {
    TORCH_CHECK(std::isfinite(values[i]), kCostNotFinite, " but received ", values[i], " at row ",
                i / dense.size(1), ", column ", i % dense.size(1));
  }
  normalise(dense.mutable_data_ptr<double>(), dense.numel());
  const bool tall = dense.size(0) > dense.size(1);
  const auto wide = tall ? dense.t().contiguous() : dense;
  const auto matched = match_rows(wide.const_data_ptr<double>(), wide.size(0), wide.size(1));
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (int64_t i = 0; i < wide.size(0); ++i) {
    pairs.push_back(tall ? std::pair{matched[i], i} : std::pair{i, matched[i]});
  }
  std::sort(pairs.begin(), pairs.end());
  const auto count = static_cast<int64_t>(pairs.size());
  auto rows = at::empty({count}, at::kLong), columns = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    rows.mutable_data_ptr<int64_t>()[i] = pairs[i].first;
    columns.mutable_data_ptr<int64_t>()[i] = pairs[i].second;
  }
  return {rows.to(cost.device()), columns.to(cost.device())};
}

}  // namespace lexiseg::ops
