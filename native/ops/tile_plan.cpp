#include "ops/tile_plan.h"

#include <algorithm>
#include <utility>

#include "ops/kernels/kernels.h"

namespace lexiseg::ops {
namespace {

int used_taps(const Taps& taps) {
  int used = 1;
  for (int t = 1; t < kMaxTaps; ++t) {
    if (taps.weight[t] != 0) used = t + 1;
  }
  return used;
}

// Unused taps repeat the first index, so they never lead.
int32_t last_index(const Taps& taps) {
  return *std::max_element(taps.index, taps.index + kMaxTaps);
}

}  // namespace

ColumnBlocks::ColumnBlocks(const std::vector<Taps>& columns,
                           const std::vector<ColumnRange>& ranges) {
  for (const ColumnRange& range : ranges) fill(columns, range);
}

std::vector<ColumnRange> ColumnBlocks::split(int64_t width) {
  std::vector<ColumnRange> ranges;
  for (int64_t begin = 0; begin < width; begin += ColumnBlock::kColumns) {
    ranges.push_back({begin, std::min(begin + ColumnBlock::kColumns, width)});
  }
  return ranges;
}

void ColumnBlocks::fill(const std::vector<Taps>& columns, const ColumnRange& range) {
  const int64_t lanes = kernels().lanes;
  ColumnBlock block{};
  block.columns = range.end - range.begin;
  block.groups = (block.columns + 2 * lanes - 1) / (2 * lanes) * 2;
  // Taps never step back from one column to the next.
  block.first = columns[range.begin].index[0];
  block.span = last_index(columns[range.end - 1]) + 1 - block.first;
  block.taps = 1;
  for (int64_t x = range.begin; x < range.end; ++x) {
    block.taps = std::max<int64_t>(block.taps, used_taps(columns[x]));
  }
  const int64_t count = block.groups * block.taps * lanes;
  auto indices = std::make_unique<int32_t[]>(count + block.groups);
  auto weights = std::make_unique<float[]>(count);
  for (int64_t g = 0; g < block.groups; ++g) {
    const auto column = [&](int64_t lane) -> const Taps& {
      return columns[std::min(range.begin + g * lanes + lane, range.end - 1)];
    };
    const int32_t low = column(0).index[0];
    const bool near = last_index(column(lanes - 1)) - low < lanes;
    const auto origin = static_cast<int32_t>(near ? low : block.first);
    indices[count + g] = near ? low - static_cast<int32_t>(block.first) : -1;
    for (int64_t t = 0; t < block.taps; ++t) {
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const int64_t at = (g * block.taps + t) * lanes + lane;
        indices[at] = column(lane).index[t] - origin;
        weights[at] = column(lane).weight[t];
      }
    }
  }
  block.index = indices.get();
  block.base = indices.get() + count;
  block.weight = weights.get();
  indices_.push_back(std::move(indices));
  weights_.push_back(std::move(weights));
  blocks_.push_back(block);
  stride_ = std::max(stride_, block.span + lanes);
}

std::vector<Taps> grid_to_output(int64_t grid, int64_t network, int64_t valid, int64_t output) {
  return compose(bilinear_taps(valid, output), bilinear_taps(grid, network));
}

TilePlan TilePlan::to_output(int64_t grid_height, int64_t grid_width, const Geometry& g) {
  const auto columns = grid_to_output(grid_width, g.network_width, g.valid_width, g.width);
  return {grid_to_output(grid_height, g.network_height, g.valid_height, g.height),
          ColumnBlocks(columns, ColumnBlocks::split(g.width)), grid_width};
}

TilePlan TilePlan::to_output(int64_t grid_height, int64_t grid_width, const GridArea& area,
                             const Geometry& g) {
  const auto rows = placed_taps(grid_height, g.valid_height, area.top, area.height);
  const auto columns = placed_taps(grid_width, g.valid_width, area.left, area.width);
  const auto composed = compose(bilinear_taps(g.valid_width, g.width), columns);
  return {compose(bilinear_taps(g.valid_height, g.height), rows),
          ColumnBlocks(composed, ColumnBlocks::split(g.width)), grid_width};
}

TilePlan TilePlan::to_output_transposed(int64_t grid_height, int64_t grid_width,
                                        const Geometry& g) {
  return to_output(
      grid_width, grid_height,
      {g.network_width, g.network_height, g.valid_width, g.valid_height, g.width, g.height});
}

BlendedRows TilePlan::blend(const float* plane, const Tile& tile, float* samples) const {
  const ColumnBlock& block = columns_[tile.block];
  const BlendedRows rows{samples, columns_.stride(), tile.rows};
  kernels().tile.blend(plane + block.first, plane_width_, rows_.data() + tile.top, block.span, rows,
                       samples);
  return rows;
}

void TilePlan::range(const float* plane, const Tile& tile, float* least, float* most) const {
  const ColumnBlock& block = columns_[tile.block];
  const int64_t top = rows_[tile.top].index[0];
  const int64_t bottom = last_index(rows_[tile.top + tile.rows - 1]);
  kernels().tile.range(plane + top * plane_width_ + block.first, plane_width_, bottom - top + 1,
                       block.span, least, most);
}

}  // namespace lexiseg::ops
