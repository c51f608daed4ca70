#include "ops/panoptic_merge.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "ops/check.h"
#include "ops/kernels/kernels.h"
#include "ops/pieces.h"
#include "ops/tile_plan.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

// Pixels of each query: won, covered (probability at least 0.5), and both.
struct Areas {
  std::vector<int64_t> won, covered, kept;

  explicit Areas(int64_t queries) : won(queries), covered(queries), kept(queries) {}

  void add(const Areas& other) {
    for (size_t q = 0; q < won.size(); ++q) {
      won[q] += other.won[q];
      covered[q] += other.covered[q];
      kept[q] += other.kept[q];
    }
  }
};

struct Segment {
  int64_t query, label, area;
  float score;
  int32_t left, top, right, bottom;  // empty until pixels are labelled

  Segment(int64_t query_in, int64_t label_in, float score_in, const Geometry& g)
      : query(query_in),
        label(label_in),
        area(0),
        score(score_in),
        left(static_cast<int32_t>(g.width)),
        top(static_cast<int32_t>(g.height)),
        right(-1),
        bottom(-1) {}

  void enclose(int32_t x_low, int32_t x_high, int32_t y_low, int32_t y_high) {
    left = std::min(left, x_low);
    right = std::max(right, x_high);
    top = std::min(top, y_low);
    bottom = std::max(bottom, y_high);
  }
};

// The masks that compete and what their classes are.
struct Queries {
  Tensor masks, scores, labels, thing;
  std::vector<int32_t> taking_part;  // in index order

  Queries(const Tensor& mask_logits, const Tensor& scores_in, const Tensor& labels_in,
          const Tensor& thing_in)
      : masks(checked_grid(mask_logits, "mask_logits")) {
    check_tensor(scores_in, "scores", {at::kFloat}, 1);
    check_tensor(labels_in, "labels", {at::kLong}, 1);
    check_tensor(thing_in, "thing", {at::kBool}, 1);
    check_sizes(scores_in, "scores", {masks.size(0)});
    check_sizes(labels_in, "labels", {masks.size(0)});
    LEXISEG_EXPECT(masks.size(0) < (int64_t{1} << 30), "fewer than 2^30 queries", "mask_logits",
                   describe(masks));
    scores = scores_in.contiguous();
    labels = labels_in.contiguous();
    thing = thing_in.contiguous();
  }

  void select(double threshold) {
    const int64_t classes = thing.size(0);
    for (int64_t q = 0; q < masks.size(0); ++q) {
      LEXISEG_EXPECT(label(q) >= 0 && label(q) <= classes, c10::str("a class of 0 to ", classes),
                     "labels", label(q), " at ", q);
      // False for NaN.
      if (label(q) != classes && score(q) > threshold) {
        taking_part.push_back(static_cast<int32_t>(q));
      }
    }
  }

  float score(int64_t q) const { return scores.const_data_ptr<float>()[q]; }
  int64_t label(int64_t q) const { return labels.const_data_ptr<int64_t>()[q]; }
  bool is_thing(int64_t q) const { return thing.const_data_ptr<bool>()[label(q)]; }
  const float* plane(int64_t q) const {
    return masks.const_data_ptr<float>() + q * masks.size(1) * masks.size(2);
  }
};

// Holds the contest for the pixels of one tile after another.
class TileContest {
 public:
  TileContest(const Queries& queries, const TilePlan& plan)
      : queries_(queries),
        plan_(plan),
        areas_(queries.masks.size(0)),
        samples_(plan.sample_floats()),
        best_(Tile::kRows * kPixels),
        winner_(Tile::kRows * kPixels),
        most_(queries.taking_part.size()) {}

  const Areas& areas() const { return areas_; }

  // Fills the tile's part of `winners`, rows of `width`: query * 2 + covered.
  void hold(const Tile& tile, int64_t width, int32_t* winners) {
    std::fill(best_.begin(), best_.end(), -std::numeric_limits<float>::infinity());
    std::fill(winner_.begin(), winner_.end(), -1);
    rank(tile);
    float least = -std::numeric_limits<float>::infinity();
    for (const Rival& rival : rivals_) {
      // Scores only rise, so whoever cannot reach the least of them wins nothing here.
      const bool hopeless = rival.reach < least;
      if (hopeless && !rival.may_cover) continue;
      const BlendedRows rows = plan_.blend(queries_.plane(rival.query), tile, samples_.data());
      const ColumnBlock& block = plan_.columns()[tile.block];
      areas_.covered[rival.query] +=
          hopeless ? kernels().tile.cover(block, rows)
                   : kernels().tile.compete(block, rows, {queries_.score(rival.query), rival.query},
                                            {best_.data(), winner_.data()}, &least);
    }
    finish(tile, width, winners);
  }

 private:
  static constexpr int64_t kPixels = 2 * ColumnBlock::kColumns;

  struct Rival {
    float reach;  // no score * probability of it in the tile is larger
    int32_t query;
    bool may_cover;
  };

  // The queries by what they can reach in a tile: the first ones leave little to the others.
  void rank(const Tile& tile) {
    // Interpolation stays within the range of its samples, up to rounding.
    constexpr float kRounding = 1e-5f;
    const auto& all = queries_.taking_part;
    for (size_t i = 0; i < all.size(); ++i) {
      float least;
      plan_.range(queries_.plane(all[i]), tile, &least, &most_[i]);
      most_[i] += kRounding * std::abs(most_[i]);
    }
    reach_ = most_;
    kernels().tile.sigmoid(reach_.data(), static_cast<int64_t>(reach_.size()));
    rivals_.clear();
    for (size_t i = 0; i < all.size(); ++i) {
      const float score = queries_.score(all[i]);
      const float reach = score > 0 ? score * (reach_[i] + kTiny) * (1 + kRounding) : 0.0f;
      rivals_.push_back({reach, all[i], most_[i] >= 0});
    }
    std::sort(rivals_.begin(), rivals_.end(), [](const Rival& a, const Rival& b) {
      return a.reach != b.reach ? a.reach > b.reach : a.query < b.query;
    });
  }

  void finish(const Tile& tile, int64_t width, int32_t* winners) {
    const ColumnBlock& block = plan_.columns()[tile.block];
    const int64_t stride = block.groups * kernels().lanes;
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int32_t* row = winner_.data() + r * stride;
      std::copy_n(row, block.columns,
                  winners + (tile.top + r) * width + tile.block * ColumnBlock::kColumns);
      // Neighbours mostly have one winner.
      for (int64_t x = 0; x < block.columns;) {
        const int64_t start = x;
        while (x < block.columns && row[x] == row[start]) ++x;
        if (row[start] < 0) continue;
        areas_.won[row[start] >> 1] += x - start;
        if (row[start] & 1) areas_.kept[row[start] >> 1] += x - start;
      }
    }
  }

  // What the sigmoid leaves of the most negative logits.
  static constexpr float kTiny = 2e-35f;

  const Queries& queries_;
  const TilePlan& plan_;
  Areas areas_;
  std::vector<float> samples_, best_;
  std::vector<int32_t> winner_;
  std::vector<float> most_, reach_;
  std::vector<Rival> rivals_;
};

Areas hold_contest(const Queries& queries, const TilePlan& plan, int64_t width, int32_t* winners) {
  Areas total(queries.masks.size(0));
  std::mutex total_mutex;
  constexpr int64_t kTilesAtOnce = 8;
  Pieces pieces(plan.tiles(), kTilesAtOnce);
  pieces.on_all_threads([&] {
    TileContest contest(queries, plan);
    for (auto piece = pieces.take(); piece.is_some(); piece = pieces.take()) {
      for (int64_t i = piece.begin; i < piece.end; ++i) contest.hold(plan.tile(i), width, winners);
    }
    const std::lock_guard lock(total_mutex);
    total.add(contest.areas());
  });
  return total;
}

struct Merged {
  std::vector<Segment> segments;
  std::vector<int32_t> id_of_query;  // from 1; 0 where a query keeps nothing
};

// In order of the queries; a stuff class has one segment.
Merged merge(const Queries& queries, const Areas& areas, const Geometry& g,
             double overlap_threshold) {
  Merged merged{{}, std::vector<int32_t>(areas.won.size())};
  std::vector<int32_t> id_of_stuff(queries.thing.size(0));
  for (const int32_t q : queries.taking_part) {
    if (areas.won[q] == 0 || areas.covered[q] == 0 || areas.kept[q] == 0) continue;
    const double share = static_cast<double>(areas.won[q]) / static_cast<double>(areas.covered[q]);
    if (share < overlap_threshold) continue;
    int32_t id = queries.is_thing(q) ? 0 : id_of_stuff[queries.label(q)];
    if (id == 0) {
      merged.segments.emplace_back(q, queries.label(q), queries.score(q), g);
      id = static_cast<int32_t>(merged.segments.size());
      if (!queries.is_thing(q)) id_of_stuff[queries.label(q)] = id;
    }
    Segment& segment = merged.segments[id - 1];
    segment.area += areas.kept[q];
    segment.score = std::max(segment.score, queries.score(q));
    merged.id_of_query[q] = id;
  }
  return merged;
}

// Turns winners into segment ids in place and finds the boxes.
void label_pixels(const Geometry& g, Merged& merged, int32_t* map) {
  std::mutex merge_mutex;
  constexpr int64_t kGrainRows = 16;
  // Threads start from empty boxes, whatever others have added by then.
  const std::vector<Segment> unmeasured = merged.segments;
  at::parallel_for(0, g.height, kGrainRows, [&](int64_t begin, int64_t end) {
    std::vector<Segment> local = unmeasured;
    for (int64_t y = begin; y < end; ++y) {
      int32_t* row = map + y * g.width;
      for (int64_t x = 0; x < g.width;) {
        const int64_t start = x;
        const int32_t entry = row[start];
        const int32_t id = entry >= 0 && (entry & 1) ? merged.id_of_query[entry >> 1] : 0;
        for (; x < g.width && row[x] == entry; ++x) {
        }
        std::fill(row + start, row + x, id);
        if (id == 0) continue;
        const auto line = static_cast<int32_t>(y);
        local[id - 1].enclose(static_cast<int32_t>(start), static_cast<int32_t>(x - 1), line, line);
      }
    }
    const std::lock_guard lock(merge_mutex);
    for (size_t i = 0; i < local.size(); ++i) {
      merged.segments[i].enclose(local[i].left, local[i].right, local[i].top, local[i].bottom);
    }
  });
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> panoptic_merge(
    const Tensor& mask_logits, const Tensor& scores, const Tensor& labels, const Tensor& thing,
    at::IntArrayRef geometry, double object_mask_threshold, double overlap_threshold) {
  Queries queries(mask_logits, scores, labels, thing);
  const Geometry g = checked_geometry(geometry);
  LEXISEG_EXPECT(!std::isnan(object_mask_threshold), "a number", "object_mask_threshold",
                 object_mask_threshold);
  LEXISEG_EXPECT(!std::isnan(overlap_threshold), "a number", "overlap_threshold",
                 overlap_threshold);
  queries.select(object_mask_threshold);
  auto map = at::zeros({g.height, g.width}, at::kInt);
  Merged merged;
  if (!queries.taking_part.empty()) {
    auto* pixels = map.mutable_data_ptr<int32_t>();
    const auto plan = TilePlan::to_output(queries.masks.size(1), queries.masks.size(2), g);
    const Areas areas = hold_contest(queries, plan, g.width, pixels);
    merged = merge(queries, areas, g, overlap_threshold);
    label_pixels(g, merged, pixels);
  }
  const auto count = static_cast<int64_t>(merged.segments.size());
  auto classes = at::empty({count}, at::kLong), areas = at::empty({count}, at::kLong);
  auto segment_scores = at::empty({count}, at::kFloat), boxes = at::empty({count, 4}, at::kInt);
  auto queries_of = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    const Segment& s = merged.segments[i];
    classes.mutable_data_ptr<int64_t>()[i] = s.label;
    areas.mutable_data_ptr<int64_t>()[i] = s.area;
    segment_scores.mutable_data_ptr<float>()[i] = s.score;
    queries_of.mutable_data_ptr<int64_t>()[i] = s.query;
    const int32_t box[4] = {s.left, s.top, s.right - s.left + 1, s.bottom - s.top + 1};
    std::copy_n(box, 4, boxes.mutable_data_ptr<int32_t>() + 4 * i);
  }
  return {map, classes, segment_scores, areas, boxes, queries_of};
}

}  // namespace lexiseg::ops
