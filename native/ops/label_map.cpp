#include "ops/label_map.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "ops/kernels/kernels.h"
#include "ops/linear.h"
#include "ops/mask_sampler.h"

namespace lexiseg::ops {
namespace {

constexpr int64_t kTileFloats = int64_t{6} << 20;  // 24 MB each for probabilities and scores

// Mask probabilities at the pixels of one output row.
class ProbabilityRows {
 public:
  virtual ~ProbabilityRows() = default;
  virtual int64_t padded_width() const = 0;

  // What one thread needs to read rows of one query after another, downwards.
  struct Scratch {
    std::vector<float> row, out;
    std::array<std::vector<float>, 2> network;
    std::array<int64_t, 2> held;
  };
  virtual Scratch scratch() const = 0;
  // Row `y` of a query in scratch.out. A new query starts with `held` at -1.
  virtual void read(int64_t query, int64_t y, Scratch* scratch) const = 0;
};

// Logits are resized, then the sigmoid is taken.
class ResizedMasks final : public ProbabilityRows {
 public:
  ResizedMasks(const at::Tensor& mask_logits, const Geometry& g)
      : sampler_(MaskSampler::to_output(mask_logits, g)) {}

  int64_t padded_width() const override { return sampler_.columns().padded_width(); }
  Scratch scratch() const override {
    return {std::vector<float>(sampler_.row_floats()), std::vector<float>(padded_width()), {}, {}};
  }
  void read(int64_t query, int64_t y, Scratch* s) const override {
    sampler_.read(query, y, s->row.data(), s->out.data());
    kernels().resample.sigmoid(s->out.data(), sampler_.columns().plan().width);
  }

 private:
  MaskSampler sampler_;
};

// The sigmoid is taken at network size, then probabilities are resized.
class ResizedScores final : public ProbabilityRows {
 public:
  ResizedScores(const at::Tensor& mask_logits, const Geometry& g)
      : sampler_(MaskSampler::to_network(mask_logits, g)),
        rows_(bilinear_taps(g.valid_height, g.height)),
        columns_(bilinear_taps(g.valid_width, g.width), g.valid_width) {}

  int64_t padded_width() const override { return columns_.padded_width(); }
  Scratch scratch() const override {
    const auto network_floats = static_cast<size_t>(sampler_.columns().padded_width() + kPadding);
    return {std::vector<float>(std::max<size_t>(sampler_.row_floats(), network_floats)),
            std::vector<float>(padded_width()),
            {std::vector<float>(network_floats), std::vector<float>(network_floats)},
            {-1, -1}};
  }
  void read(int64_t query, int64_t y, Scratch* s) const override {
    const Taps& taps = rows_[y];
    const float* sources[2];
    for (int t = 0; t < 2; ++t) sources[t] = network_row(query, taps.index[t], s);
    kernels().resample.blend(sources, taps.weight, 2, s->row.data(),
                             sampler_.columns().plan().width);
    kernels().resample.expand(columns_.plan(), s->row.data(), s->out.data());
  }

 private:
  static constexpr int64_t kPadding = 16;

  // Rows alternate between two places, so that neighbouring ones are held together.
  const float* network_row(int64_t query, int64_t r, Scratch* s) const {
    auto& values = s->network[r % 2];
    if (s->held[r % 2] != r) {
      sampler_.read(query, r, s->row.data(), values.data());
      kernels().resample.sigmoid(values.data(), sampler_.columns().plan().width);
      s->held[r % 2] = r;
    }
    return values.data();
  }

  MaskSampler sampler_;
  std::vector<Taps> rows_;
  ColumnTable columns_;
};

// Whole rows, or a part of one row where a row would be too much.
struct Tile {
  int64_t top, left, rows, columns;

  int64_t pixels() const { return rows * columns; }
};

void fill(const ProbabilityRows& source, const Tile& tile, at::Tensor* probs) {
  auto* base = probs->mutable_data_ptr<float>();
  at::parallel_for(0, probs->size(0), 1, [&](int64_t begin, int64_t end) {
    auto scratch = source.scratch();
    for (int64_t q = begin; q < end; ++q) {
      scratch.held = {-1, -1};
      for (int64_t r = 0; r < tile.rows; ++r) {
        source.read(q, tile.top + r, &scratch);
        std::copy_n(scratch.out.data() + tile.left, tile.columns,
                    base + q * tile.pixels() + r * tile.columns);
      }
    }
  });
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> label_map(const at::Tensor& mask_logits,
                                             const at::Tensor& class_probs,
                                             at::IntArrayRef geometry, bool resize_scores) {
  const auto masks = checked_mask_logits(mask_logits);
  const Geometry g = checked_geometry(geometry);
  const int64_t queries = masks.size(0);
  TORCH_CHECK(class_probs.dim() == 2 && class_probs.size(0) == queries && class_probs.size(1) > 0 &&
                  class_probs.scalar_type() == at::kFloat,
              "Expected float32 [", queries, ", K] for class_probs but received ",
              class_probs.scalar_type(), " ", class_probs.sizes());
  if (queries == 0) {
    return {at::full({g.height, g.width}, -1, at::kInt),
            at::zeros({g.height, g.width}, at::kFloat)};
  }
  std::unique_ptr<ProbabilityRows> source;
  if (resize_scores) {
    source = std::make_unique<ResizedScores>(masks, g);
  } else {
    source = std::make_unique<ResizedMasks>(masks, g);
  }
  const auto class_rows = class_probs.t().contiguous();  // [K, Q]
  const int64_t most_pixels =
      std::max<int64_t>(kTileFloats / std::max(queries, class_rows.size(0)), 1);
  const int64_t columns = std::min(g.width, most_pixels);
  const int64_t rows = std::min(g.height, most_pixels / columns);
  auto labels = at::empty({g.height, g.width}, at::kInt);
  auto scores = at::empty({g.height, g.width}, at::kFloat);
  for (int64_t top = 0; top < g.height; top += rows) {
    for (int64_t left = 0; left < g.width; left += columns) {
      const Tile tile{top, left, std::min(rows, g.height - top), std::min(columns, g.width - left)};
      auto probs = at::empty({queries, tile.pixels()}, at::kFloat);
      fill(*source, tile, &probs);
      const auto tile_scores = linear(class_rows, probs.t(), std::nullopt, "none");  // [K, pixels]
      const auto* rows_of_scores = tile_scores.const_data_ptr<float>();
      // A tile is whole rows or lies within one, so its pixels are contiguous in the output.
      float* best = scores.mutable_data_ptr<float>() + top * g.width + left;
      int32_t* label = labels.mutable_data_ptr<int32_t>() + top * g.width + left;
      at::parallel_for(0, tile.pixels(), 2048, [&](int64_t begin, int64_t end) {
        kernels().resample.argmax(rows_of_scores + begin, tile_scores.size(0), tile.pixels(),
                                  end - begin, best + begin, label + begin);
      });
    }
  }
  return {labels, scores};
}

}  // namespace lexiseg::ops
