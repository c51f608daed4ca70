#include "ops/mask_sampler.h"

#include <algorithm>
#include <utility>

#include "ops/kernels/kernels.h"

namespace lexiseg::ops {
namespace {

constexpr int64_t kGroup = ColumnPlan::kGroup;

int used_taps(const Taps& taps) {
  int used = 1;
  for (int t = 1; t < kMaxTaps; ++t) {
    if (taps.weight[t] != 0) used = t + 1;
  }
  return used;
}

std::vector<Taps> grid_to_output(int64_t grid, int64_t network, int64_t valid, int64_t output) {
  return compose(bilinear_taps(valid, output), bilinear_taps(grid, network));
}

}  // namespace

ColumnTable::ColumnTable(const std::vector<Taps>& taps, int64_t source_width) {
  const auto width = static_cast<int64_t>(taps.size());
  const int64_t blocks = (width + ColumnPlan::kBlock - 1) / ColumnPlan::kBlock;
  const int64_t padded = blocks * ColumnPlan::kBlock;
  int count = 1;
  for (const Taps& tap : taps) count = std::max(count, used_taps(tap));
  index_.resize(count * padded);
  weight_.resize(count * padded);
  base_.resize(padded / kGroup);
  first_.assign(blocks, static_cast<int32_t>(source_width - 1));
  last_.assign(blocks, 0);
  for (int64_t i = 0; i < padded; ++i) {
    const Taps& tap = taps[std::min(i, width - 1)];
    const int64_t block = i / ColumnPlan::kBlock;
    for (int t = 0; t < count; ++t) {
      index_[t * padded + i] = tap.index[t];
      weight_[t * padded + i] = tap.weight[t];
      first_[block] = std::min(first_[block], tap.index[t]);
      last_[block] = std::max(last_[block], tap.index[t]);
    }
  }
  for (int64_t group = 0; group < padded / kGroup; ++group) {
    int32_t low = index_[group * kGroup], high = low;
    for (int t = 0; t < count; ++t) {
      const auto begin = index_.begin() + t * padded + group * kGroup;
      const auto [least, most] = std::minmax_element(begin, begin + kGroup);
      low = std::min(low, *least);
      high = std::max(high, *most);
    }
    base_[group] = high - low < kGroup ? low : -1;
  }
  plan_ = {width,          blocks,        count,        index_.data(),
           weight_.data(), first_.data(), last_.data(), base_.data()};
}

MaskSampler::MaskSampler(at::Tensor planes, std::vector<Taps> rows,
                         const std::vector<Taps>& columns)
    : planes_(std::move(planes)), rows_(std::move(rows)), columns_(columns, planes_.size(2)) {}

MaskSampler MaskSampler::to_output(const at::Tensor& mask_logits, const Geometry& g) {
  return {mask_logits,
          grid_to_output(mask_logits.size(1), g.network_height, g.valid_height, g.height),
          grid_to_output(mask_logits.size(2), g.network_width, g.valid_width, g.width)};
}

MaskSampler MaskSampler::to_output_columns(const at::Tensor& mask_logits, const Geometry& g) {
  return {mask_logits.transpose(1, 2).contiguous(),
          grid_to_output(mask_logits.size(2), g.network_width, g.valid_width, g.width),
          grid_to_output(mask_logits.size(1), g.network_height, g.valid_height, g.height)};
}

MaskSampler MaskSampler::to_network(const at::Tensor& mask_logits, const Geometry& g) {
  auto rows = bilinear_taps(mask_logits.size(1), g.network_height);
  auto columns = bilinear_taps(mask_logits.size(2), g.network_width);
  rows.resize(g.valid_height);
  columns.resize(g.valid_width);
  return {mask_logits, std::move(rows), columns};
}

void MaskSampler::blend(int64_t query, int64_t y, float* row) const {
  const int64_t width = planes_.size(2);
  const float* plane = planes_.const_data_ptr<float>() + query * planes_.size(1) * width;
  const Taps& tap = rows_[y];
  const int count = used_taps(tap);
  const float* sources[kMaxTaps];
  for (int t = 0; t < count; ++t) sources[t] = plane + tap.index[t] * width;
  kernels().resample.blend(sources, tap.weight, count, row, width);
}

void MaskSampler::read(int64_t query, int64_t y, float* row, float* out) const {
  blend(query, y, row);
  kernels().resample.expand(columns_.plan(), row, out);
}

}  // namespace lexiseg::ops
