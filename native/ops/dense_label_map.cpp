#include "ops/dense_label_map.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/check.h"
#include "ops/kernels/kernels.h"
#include "ops/pieces.h"
#include "ops/tile_plan.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

// Below every logit that is a number; what tiles hold for those that are none.
constexpr float kNoLogit = -1e30f;

struct Planes {
  const float* logits;
  int64_t classes, plane;
};

struct LabelledPixels {
  int32_t* labels;
  float* scores;
  int64_t width;
};

class TileLabeller {
 public:
  TileLabeller(const Planes& planes, const TilePlan& plan, double most_entropy,
               const LabelledPixels& out)
      : planes_(planes),
        plan_(plan),
        most_entropy_(most_entropy),
        out_(out),
        samples_(plan.sample_floats()),
        panels_(Tile::kRows * panels_per_row() * panel_floats()) {}

  void label(const Tile& tile) {
    const ColumnBlock& block = plan_.columns()[tile.block];
    const int64_t panels = block.groups / 2;
    const TileLayout layout{panels * panel_floats(), panel_floats()};
    for (int64_t k = 0; k < planes_.classes; ++k) {
      const BlendedRows rows =
          plan_.blend(planes_.logits + k * planes_.plane, tile, samples_.data());
      kernels().tile.expand(block, rows, /*to_probability=*/false, layout,
                            panels_.data() + k * panel_pixels());
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t start = (tile.top + r) * out_.width + tile.block * ColumnBlock::kColumns;
      for (int64_t p = 0; p < panels; ++p) {
        const int64_t left = p * panel_pixels();
        const int64_t count = std::min(panel_pixels(), block.columns - left);
        label_pixels(panels_.data() + (r * panels + p) * panel_floats(), start + left, count);
      }
    }
  }

 private:
  static constexpr int64_t kMaxPanel = ColumnBlock::kColumns;

  static int64_t panel_pixels() { return kernels().class_score.pixels; }
  static int64_t panels_per_row() {
    return (ColumnBlock::kColumns + panel_pixels() - 1) / panel_pixels();
  }
  // A vector more than it holds, so that panels do not all start in one set of the cache.
  int64_t panel_floats() const { return (planes_.classes + 1) * panel_pixels(); }

  void label_pixels(const float* panel, int64_t start, int64_t count) const {
    int32_t label[kMaxPanel];
    float sum[kMaxPanel], weighted[kMaxPanel];
    kernels().class_score.softmax(panel, planes_.classes, label, sum, weighted);
    for (int64_t x = 0; x < count; ++x) {
      const bool found = label[x] >= 0 && panel[label[x] * panel_pixels() + x] > kNoLogit;
      const double entropy = std::log(sum[x]) - weighted[x] / sum[x];
      const bool chosen = found && !(entropy > most_entropy_);
      out_.labels[start + x] = chosen ? label[x] : -1;
      out_.scores[start + x] = chosen ? 1.0f / sum[x] : 0.0f;
    }
  }

  Planes planes_;
  const TilePlan& plan_;
  double most_entropy_;
  LabelledPixels out_;
  std::vector<float> samples_, panels_;
};

}  // namespace

std::tuple<Tensor, Tensor> dense_label_map(const Tensor& class_logits, at::ArrayRef<double> area,
                                           at::IntArrayRef geometry,
                                           std::optional<double> most_entropy) {
  const Tensor logits = checked_grid(class_logits, "class_logits");
  const GridArea filled = checked_area(area);
  LEXISEG_EXPECT(geometry.size() == 4, "4 sizes", "geometry", geometry);
  const Geometry g = checked_geometry(
      {geometry[0], geometry[1], geometry[0], geometry[1], geometry[2], geometry[3]});
  LEXISEG_EXPECT(logits.size(0) <= std::numeric_limits<int32_t>::max(), "at most 2^31 - 1 classes",
                 "class_logits", describe(class_logits));
  const double most = most_entropy.value_or(std::numeric_limits<double>::infinity());
  LEXISEG_EXPECT(most >= 0, "0 or more", "most_entropy", most);
  if (logits.size(0) == 0) {
    return {at::full({g.height, g.width}, -1, at::kInt),
            at::zeros({g.height, g.width}, at::kFloat)};
  }
  const TilePlan plan = TilePlan::to_output(logits.size(1), logits.size(2), filled, g);
  auto labels = at::empty({g.height, g.width}, at::kInt);
  auto scores = at::empty({g.height, g.width}, at::kFloat);
  const Planes planes{logits.const_data_ptr<float>(), logits.size(0),
                      logits.size(1) * logits.size(2)};
  const LabelledPixels out{labels.mutable_data_ptr<int32_t>(), scores.mutable_data_ptr<float>(),
                           g.width};
  Pieces pieces(plan.tiles(), 1);
  pieces.on_all_threads([&] {
    TileLabeller labeller(planes, plan, most, out);
    for (auto piece = pieces.take(); piece.is_some(); piece = pieces.take()) {
      labeller.label(plan.tile(piece.begin));
    }
  });
  return {labels, scores};
}

}  // namespace lexiseg::ops
