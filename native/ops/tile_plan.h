// How an output is read from a coarse grid, tile by tile, without resizing the grid as a whole.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ops/geometry.h"
#include "ops/kernels/tile.h"
#include "ops/taps.h"

namespace lexiseg::ops {

struct ColumnRange {
  int64_t begin, end;
};

// Columns of an output in blocks, and the arrays that the blocks point into.
class ColumnBlocks {
 public:
  // columns: what every column of the output reads; ranges: those of each block.
  ColumnBlocks(const std::vector<Taps>& columns, const std::vector<ColumnRange>& ranges);
  ColumnBlocks(ColumnBlocks&&) = default;

  int64_t size() const { return static_cast<int64_t>(blocks_.size()); }
  const ColumnBlock& operator[](int64_t block) const { return blocks_[block]; }
  // Floats of a blended row of any block.
  int64_t stride() const { return stride_; }

  // Blocks of ColumnBlock::kColumns.
  static std::vector<ColumnRange> split(int64_t width);

 private:
  void fill(const std::vector<Taps>& columns, const ColumnRange& range);

  std::vector<std::unique_ptr<int32_t[]>> indices_;
  std::vector<std::unique_ptr<float[]>> weights_;
  std::vector<ColumnBlock> blocks_;
  int64_t stride_ = 0;
};

// Rows [top, top + rows) of a block of columns.
struct Tile {
  static constexpr int64_t kRows = 8;

  int64_t top, rows, block;
};

// The taps of both axes. Planes are contiguous float32 of `plane_width` columns.
class TilePlan {
 public:
  TilePlan(std::vector<Taps> rows, ColumnBlocks columns, int64_t plane_width)
      : rows_(std::move(rows)), columns_(std::move(columns)), plane_width_(plane_width) {}
  TilePlan(TilePlan&&) = default;

  // Grid to network input, its valid part, the output: one step for both resizes.
  static TilePlan to_output(int64_t grid_height, int64_t grid_width, const Geometry& geometry);
  // The same from a grid that fills an area of the network input.
  static TilePlan to_output(int64_t grid_height, int64_t grid_width, const GridArea& area,
                            const Geometry& geometry);
  // The first for transposed planes: tiles of the transposed output.
  static TilePlan to_output_transposed(int64_t grid_height, int64_t grid_width,
                                       const Geometry& geometry);

  int64_t height() const { return static_cast<int64_t>(rows_.size()); }
  const ColumnBlocks& columns() const { return columns_; }
  int64_t tiles() const { return strips() * columns_.size(); }
  // Tiles of a strip follow each other.
  Tile tile(int64_t index) const {
    const int64_t top = index / columns_.size() * Tile::kRows;
    return {top, std::min(Tile::kRows, height() - top), index % columns_.size()};
  }
  int64_t strips() const { return (height() + Tile::kRows - 1) / Tile::kRows; }

  // Floats that the samples of a tile take.
  int64_t sample_floats() const { return Tile::kRows * columns_.stride(); }
  BlendedRows blend(const float* plane, const Tile& tile, float* samples) const;
  // The least and the largest of what a tile's pixels are made of.
  void range(const float* plane, const Tile& tile, float* least, float* most) const;

 private:
  std::vector<Taps> rows_;
  ColumnBlocks columns_;
  int64_t plane_width_;
};

// What the pixels of one axis of the output read from a grid, through the network input.
std::vector<Taps> grid_to_output(int64_t grid, int64_t network, int64_t valid, int64_t output);

}  // namespace lexiseg::ops
