#include "ops/label_map.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "ops/check.h"
#include "ops/kernels/kernels.h"
#include "ops/pieces.h"
#include "ops/tile_plan.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

// Mask probabilities at the pixels of a tile.
class ProbabilitySource {
 public:
  struct Scratch {
    std::vector<float> samples, network_samples, network_probs;
  };

  virtual ~ProbabilitySource() = default;
  // Tiles of the output.
  virtual const TilePlan& tiles() const = 0;
  virtual Scratch scratch() const = 0;
  // The least and the largest logit behind a tile of a mask.
  virtual void range(const float* mask, const Tile& tile, float* least, float* most) const = 0;
  virtual void read(const float* mask, const Tile& tile, const TileLayout& layout, float* out,
                    Scratch& scratch) const = 0;
};

// Logits are resized, then the sigmoid is taken.
class ResizedLogits final : public ProbabilitySource {
 public:
  ResizedLogits(const Tensor& masks, const Geometry& g)
      : plan_(TilePlan::to_output(masks.size(1), masks.size(2), g)) {}

  const TilePlan& tiles() const override { return plan_; }
  Scratch scratch() const override { return {std::vector<float>(plan_.sample_floats()), {}, {}}; }
  void range(const float* mask, const Tile& tile, float* least, float* most) const override {
    plan_.range(mask, tile, least, most);
  }
  void read(const float* mask, const Tile& tile, const TileLayout& layout, float* out,
            Scratch& scratch) const override {
    const BlendedRows rows = plan_.blend(mask, tile, scratch.samples.data());
    kernels().tile.expand(plan_.columns()[tile.block], rows, /*to_probability=*/true, layout, out);
  }

 private:
  TilePlan plan_;
};

// The sigmoid is taken at network size, then probabilities are resized.
class ResizedProbabilities final : public ProbabilitySource {
 public:
  ResizedProbabilities(const Tensor& masks, const Geometry& g)
      : grid_width_(masks.size(2)),
        network_rows_(bilinear_taps(masks.size(1), g.network_height)),
        output_rows_(bilinear_taps(g.valid_height, g.height)),
        output_(output_rows_, output_columns(g), g.valid_width),
        network_columns_(bilinear_taps(masks.size(2), g.network_width), behind(output_.columns())) {
    for (int64_t i = 0; i < network_columns_.size(); ++i) {
      network_stride_ =
          std::max(network_stride_, (network_columns_[i].groups + 1) * kernels().lanes);
    }
  }

  const TilePlan& tiles() const override { return output_; }
  Scratch scratch() const override {
    return {std::vector<float>(output_.sample_floats()),
            std::vector<float>(kMaxNetworkRows * network_columns_.stride()),
            std::vector<float>(kMaxNetworkRows * network_stride_)};
  }

  void range(const float* mask, const Tile& tile, float* least, float* most) const override {
    const ColumnBlock& block = network_columns_[tile.block];
    const Taps& last_row = output_rows_[tile.top + tile.rows - 1];
    const int64_t top = network_rows_[output_rows_[tile.top].index[0]].index[0];
    const int64_t bottom = network_rows_[std::max(last_row.index[0], last_row.index[1])].index[1];
    kernels().tile.range(mask + top * grid_width_ + block.first, grid_width_, bottom - top + 1,
                         block.span, least, most);
  }

  void read(const float* mask, const Tile& tile, const TileLayout& layout, float* out,
            Scratch& scratch) const override {
    const ColumnBlock& network = network_columns_[tile.block];
    const ColumnBlock& block = output_.columns()[tile.block];
    Taps rows[kMaxNetworkRows], output_rows[Tile::kRows];
    const int64_t count = network_rows_of(tile, rows, output_rows);
    const BlendedRows coarse{scratch.network_samples.data(), network_columns_.stride(), count};
    kernels().tile.blend(mask + network.first, grid_width_, rows, network.span, coarse,
                         scratch.network_samples.data());
    kernels().tile.expand(network, coarse, /*to_probability=*/true,
                          {network_stride_, 2 * kernels().lanes}, scratch.network_probs.data());
    const BlendedRows fine{scratch.samples.data(), output_.columns().stride(), tile.rows};
    kernels().tile.blend(scratch.network_probs.data(), network_stride_, output_rows, block.span,
                         fine, scratch.samples.data());
    kernels().tile.expand(block, fine, /*to_probability=*/false, layout, out);
  }

 private:
  static constexpr int64_t kMaxNetworkRows = 2 * Tile::kRows;

  static ColumnBlocks output_columns(const Geometry& g) {
    return {bilinear_taps(g.valid_width, g.width), ColumnBlocks::split(g.width)};
  }

  // The network columns that each block reads.
  static std::vector<ColumnRange> behind(const ColumnBlocks& blocks) {
    std::vector<ColumnRange> ranges;
    for (int64_t i = 0; i < blocks.size(); ++i) {
      ranges.push_back({blocks[i].first, blocks[i].first + blocks[i].span});
    }
    return ranges;
  }

  // The network rows that a tile reads, and the tile's own taps as places among them.
  int64_t network_rows_of(const Tile& tile, Taps* rows, Taps* output_rows) const {
    int32_t found[kMaxNetworkRows];
    int64_t count = 0;
    for (int64_t r = 0; r < tile.rows; ++r) {
      output_rows[r] = output_rows_[tile.top + r];
      for (int t = 0; t < 2; ++t) {
        const int32_t row = output_rows[r].index[t];
        const int32_t* end = found + count;
        const auto place = std::find(found, found + count, row) - found;
        if (found + place == end) {
          rows[count] = network_rows_[row];
          found[count++] = row;
        }
        output_rows[r].index[t] = static_cast<int32_t>(place);
      }
    }
    return count;
  }

  int64_t grid_width_;
  std::vector<Taps> network_rows_, output_rows_;
  TilePlan output_;
  ColumnBlocks network_columns_;
  int64_t network_stride_ = 0;
};

// Class probabilities in the order of ClassBlocks.
class ClassTable {
 public:
  explicit ClassTable(const Tensor& class_probs)
      : queries_(class_probs.size(0)), classes_(class_probs.size(1)) {
    const float* probs = class_probs.const_data_ptr<float>();
    const int64_t rows = kernels().class_score.rows;
    blocks_.resize(padded() * queries_);
    for (int64_t q = 0; q < queries_; ++q) {
      for (int64_t k = 0; k < classes_; ++k) {
        const float prob = probs[q * classes_ + k];
        blocks_[(k / rows * queries_ + q) * rows + k % rows] = prob;
        is_positive_ = is_positive_ && !(prob < 0);
      }
    }
  }

  int64_t queries() const { return queries_; }
  int64_t classes() const { return classes_; }
  // Classes with those that fill up the last block.
  int64_t padded() const {
    const int64_t rows = kernels().class_score.rows;
    return (classes_ + rows - 1) / rows * rows;
  }
  // Larger mask probabilities give larger scores.
  bool is_positive() const { return is_positive_; }
  ClassBlocks all() const { return {blocks_.data(), classes_, queries_}; }

  // Only the named classes, in `memory`.
  ClassBlocks some(const std::vector<int32_t>& names, std::vector<float>& memory) const {
    const int64_t rows = kernels().class_score.rows;
    const auto count = static_cast<int64_t>(names.size());
    memory.resize((count + rows - 1) / rows * rows * queries_);
    for (int64_t i = 0; i < count; ++i) {
      const float* from = blocks_.data() + names[i] / rows * queries_ * rows + names[i] % rows;
      float* to = memory.data() + i / rows * queries_ * rows + i % rows;
      for (int64_t q = 0; q < queries_; ++q) to[q * rows] = from[q * rows];
    }
    return {memory.data(), count, queries_};
  }

 private:
  int64_t queries_, classes_;
  std::vector<float> blocks_;
  bool is_positive_ = true;
};

struct LabelledPixels {
  int32_t* labels;
  float* scores;
  int64_t width;
};

// Labels tiles, first bounding the class scores in each: a class whose largest possible score is
// below the least possible score of another is left out. That changes no label and no score.
class TileLabeller {
 public:
  TileLabeller(const float* masks, int64_t plane, const ProbabilitySource& source,
               const ClassTable& classes, const LabelledPixels& out)
      : masks_(masks),
        plane_(plane),
        source_(source),
        classes_(classes),
        out_(out),
        scratch_(source.scratch()),
        bounds_(classes.queries() * panel_pixels()),
        class_bounds_(classes.padded() * panel_pixels()),
        panels_(Tile::kRows * panels_per_row() * panel_floats()) {}

  // Tiles whose bounds share a panel.
  static int64_t tiles_at_once() { return kernels().class_score.pixels / 2; }

  void label(int64_t begin, int64_t end) {
    const bool bounded =
        classes_.is_positive() && classes_.classes() > 2 * kernels().class_score.rows;
    if (bounded) bound(begin, end);
    for (int64_t i = begin; i < end; ++i) {
      names_.clear();
      if (bounded) name_possible(i - begin);
      const auto possible = static_cast<int64_t>(names_.size());
      const bool few = bounded && 4 * possible < 3 * classes_.classes();
      if (!few) names_.clear();
      label_tile(source_.tiles().tile(i), few ? classes_.some(names_, some_) : classes_.all());
    }
  }

 private:
  static int64_t panel_pixels() { return kernels().class_score.pixels; }
  static int64_t panels_per_row() {
    return (ColumnBlock::kColumns + panel_pixels() - 1) / panel_pixels();
  }
  // A vector more than it holds, so that panels do not all start in one set of the cache.
  int64_t panel_floats() const { return (classes_.queries() + 1) * panel_pixels(); }

  // Class scores of the largest, then of the least probabilities of each tile.
  void bound(int64_t begin, int64_t end) {
    constexpr float kImpossible = -1e30f;
    std::fill(bounds_.begin(), bounds_.end(), kImpossible);
    for (int64_t i = begin; i < end; ++i) {
      const Tile tile = source_.tiles().tile(i);
      for (int64_t q = 0; q < classes_.queries(); ++q) {
        float* most = bounds_.data() + q * panel_pixels() + (i - begin);
        source_.range(masks_ + q * plane_, tile, most + panel_pixels() / 2, most);
      }
    }
    kernels().tile.sigmoid(bounds_.data(), static_cast<int64_t>(bounds_.size()));
    kernels().class_score.scores(classes_.all(), bounds_.data(), class_bounds_.data());
  }

  void name_possible(int64_t place) {
    // More than what rounding does to the bounds and to the scores themselves.
    constexpr float kRounding = 4e-5f;
    const float* most = class_bounds_.data() + place;
    const float* least = most + panel_pixels() / 2;
    float reached = 0;
    for (int64_t k = 0; k < classes_.classes(); ++k) {
      reached = std::max(reached, least[k * panel_pixels()]);
    }
    reached *= 1 - kRounding;
    for (int64_t k = 0; k < classes_.classes(); ++k) {
      // True for NaN.
      if (!(most[k * panel_pixels()] < reached)) names_.push_back(static_cast<int32_t>(k));
    }
  }

  void label_tile(const Tile& tile, const ClassBlocks& blocks) {
    const ColumnBlock& block = source_.tiles().columns()[tile.block];
    const int64_t panels = block.groups / 2;
    const TileLayout layout{panels * panel_floats(), panel_floats()};
    for (int64_t q = 0; q < classes_.queries(); ++q) {
      source_.read(masks_ + q * plane_, tile, layout, panels_.data() + q * panel_pixels(),
                   scratch_);
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t start = (tile.top + r) * out_.width + tile.block * ColumnBlock::kColumns;
      for (int64_t p = 0; p < panels; ++p) {
        float score[kMaxPanel];
        int32_t label[kMaxPanel];
        kernels().class_score.best(blocks, panels_.data() + (r * panels + p) * panel_floats(),
                                   score, label);
        const int64_t left = p * panel_pixels();
        for (int64_t x = 0; x < std::min(panel_pixels(), block.columns - left); ++x) {
          const bool found = label[x] >= 0;
          const int32_t name = found && !names_.empty() ? names_[label[x]] : label[x];
          out_.labels[start + left + x] = name;
          out_.scores[start + left + x] = found ? score[x] : 0.0f;
        }
      }
    }
  }

  static constexpr int64_t kMaxPanel = ColumnBlock::kColumns;

  const float* masks_;
  int64_t plane_;
  const ProbabilitySource& source_;
  const ClassTable& classes_;
  LabelledPixels out_;
  ProbabilitySource::Scratch scratch_;
  std::vector<float> bounds_, class_bounds_, panels_, some_;
  std::vector<int32_t> names_;
};

std::unique_ptr<ProbabilitySource> source_for(const Tensor& masks, const Geometry& g,
                                              bool resize_scores) {
  if (resize_scores) return std::make_unique<ResizedProbabilities>(masks, g);
  return std::make_unique<ResizedLogits>(masks, g);
}

}  // namespace

std::tuple<Tensor, Tensor> label_map(const Tensor& mask_logits, const Tensor& class_probs,
                                     at::IntArrayRef geometry, bool resize_scores) {
  const auto masks = checked_grid(mask_logits, "mask_logits");
  const Geometry g = checked_geometry(geometry);
  check_tensor(class_probs, "class_probs", {at::kFloat}, 2);
  LEXISEG_EXPECT(class_probs.size(0) == masks.size(0),
                 c10::str("one row for each of ", masks.size(0), " queries"), "class_probs",
                 describe(class_probs));
  LEXISEG_EXPECT(class_probs.size(1) <= std::numeric_limits<int32_t>::max(),
                 "at most 2^31 - 1 classes", "class_probs", describe(class_probs));
  if (class_probs.numel() == 0) {
    return {at::full({g.height, g.width}, -1, at::kInt),
            at::zeros({g.height, g.width}, at::kFloat)};
  }
  const ClassTable classes(class_probs.contiguous());
  const auto source = source_for(masks, g, resize_scores);
  auto labels = at::empty({g.height, g.width}, at::kInt);
  auto scores = at::empty({g.height, g.width}, at::kFloat);
  const LabelledPixels out{labels.mutable_data_ptr<int32_t>(), scores.mutable_data_ptr<float>(),
                           g.width};
  const float* logits = masks.const_data_ptr<float>();
  Pieces pieces(source->tiles().tiles(), TileLabeller::tiles_at_once());
  pieces.on_all_threads([&] {
    TileLabeller labeller(logits, masks.size(1) * masks.size(2), *source, classes, out);
    for (auto piece = pieces.take(); piece.is_some(); piece = pieces.take()) {
      labeller.label(piece.begin, piece.end);
    }
  });
  return {labels, scores};
}

}  // namespace lexiseg::ops
