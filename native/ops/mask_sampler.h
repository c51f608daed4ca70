// Reads masks at the pixels of the output, row by row, without resizing them as a whole.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/geometry.h"
#include "ops/kernels/resample.h"
#include "ops/taps.h"

namespace lexiseg::ops {

// Owns the arrays of a ColumnPlan.
class ColumnTable {
 public:
  ColumnTable(const std::vector<Taps>& taps, int64_t source_width);
  ColumnTable(ColumnTable&&) = default;  // the plan points into vectors that move with it

  const ColumnPlan& plan() const { return plan_; }
  // Floats that a row of output pixels takes: whole blocks.
  int64_t padded_width() const { return plan_.blocks * ColumnPlan::kBlock; }

 private:
  std::vector<int32_t> index_, first_, last_, base_;
  std::vector<float> weight_;
  ColumnPlan plan_;
};

// A stack of planes [Q, h, w] seen through row and column taps. Keeps the planes alive; safe to
// read from many threads.
class MaskSampler {
 public:
  // planes: contiguous float32 [Q, h, w].
  MaskSampler(at::Tensor planes, std::vector<Taps> rows, const std::vector<Taps>& columns);

  // Grid to network input, its valid part, the output: one step for both resizes.
  static MaskSampler to_output(const at::Tensor& mask_logits, const Geometry& geometry);
  // As to_output with both axes swapped: a row of it is a column of the output.
  static MaskSampler to_output_columns(const at::Tensor& mask_logits, const Geometry& geometry);
  // Grid to the valid part of the network input.
  static MaskSampler to_network(const at::Tensor& mask_logits, const Geometry& geometry);

  int64_t queries() const { return planes_.size(0); }
  int64_t height() const { return static_cast<int64_t>(rows_.size()); }
  const ColumnTable& columns() const { return columns_; }
  // Floats that a blended row takes, with the padding that kernels may read.
  int64_t row_floats() const { return planes_.size(2) + kRowPadding; }

  // Row `y` of a plane before the columns are resampled; `row` has row_floats().
  void blend(int64_t query, int64_t y, float* row) const;
  // Row `y` of a plane at the output's columns; `out` has columns().padded_width().
  void read(int64_t query, int64_t y, float* row, float* out) const;

 private:
  static constexpr int64_t kRowPadding = 16;

  at::Tensor planes_;
  std::vector<Taps> rows_;
  ColumnTable columns_;
};

}  // namespace lexiseg::ops
