#include "ops/panoptic_merge.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <vector>

#include "ops/kernels/kernels.h"
#include "ops/mask_sampler.h"

namespace lexiseg::ops {
namespace {

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
  int64_t label, area = 0;
  float score;
  int32_t left, top, right = -1, bottom = -1;
};

void check(const at::Tensor& mask_logits, const at::Tensor& scores, const at::Tensor& labels,
           const at::Tensor& thing) {
  const int64_t queries = mask_logits.size(0);
  TORCH_CHECK(scores.dim() == 1 && scores.size(0) == queries && scores.scalar_type() == at::kFloat,
              "Expected float32 [", queries, "] for scores but received ", scores.scalar_type(),
              " ", scores.sizes());
  TORCH_CHECK(labels.dim() == 1 && labels.size(0) == queries && labels.scalar_type() == at::kLong,
              "Expected int64 [", queries, "] for labels but received ", labels.scalar_type(), " ",
              labels.sizes());
  TORCH_CHECK(thing.dim() == 1 && thing.scalar_type() == at::kBool,
              "Expected bool [K] for thing but received ", thing.scalar_type(), " ", thing.sizes());
  TORCH_CHECK(queries < (int64_t{1} << 30), "Expected fewer queries for mask_logits but received ",
              queries);
}

// Queries that take part, best score first: later ones are then often hopeless at once.
std::vector<int32_t> contestants(const at::Tensor& scores, const at::Tensor& labels,
                                 int64_t classes, double threshold) {
  const float* score = scores.const_data_ptr<float>();
  const int64_t* label = labels.const_data_ptr<int64_t>();
  std::vector<int32_t> queries;
  for (int64_t q = 0; q < scores.size(0); ++q) {
    TORCH_CHECK(label[q] >= 0 && label[q] <= classes, "Expected a class of 0 to ", classes,
                " for labels[", q, "] but received ", label[q]);
    if (label[q] != classes && score[q] > threshold) queries.push_back(static_cast<int32_t>(q));
  }
  std::stable_sort(queries.begin(), queries.end(),
                   [&](int32_t a, int32_t b) { return score[a] > score[b]; });
  return queries;
}

// Fills `winners` [H, W] with query * 2 + covered, -1 where nobody competes, and counts the areas.
Areas hold_contest(const MaskSampler& sampler, const std::vector<int32_t>& queries,
                   const float* scores, int32_t* winners) {
  const ColumnPlan& plan = sampler.columns().plan();
  Areas total(sampler.queries());
  std::mutex total_mutex;
  at::parallel_for(0, sampler.height(), 1, [&](int64_t begin, int64_t end) {
    Areas areas(sampler.queries());
    std::vector<float> row(sampler.row_floats()), best(sampler.columns().padded_width());
    std::vector<int32_t> winner(best.size());
    for (int64_t y = begin; y < end; ++y) {
      std::fill(best.begin(), best.end(), -1.0f);
      std::fill(winner.begin(), winner.end(), -1);
      for (const int32_t q : queries) {
        sampler.blend(q, y, row.data());
        areas.covered[q] += kernels().resample.compete(
            plan, {row.data(), scores[q], q, best.data(), winner.data()});
      }
      std::copy_n(winner.begin(), plan.width, winners + y * plan.width);
      for (int64_t x = 0; x < plan.width; ++x) {
        if (winner[x] < 0) continue;
        ++areas.won[winner[x] >> 1];
        areas.kept[winner[x] >> 1] += winner[x] & 1;
      }
    }
    const std::lock_guard lock(total_mutex);
    total.add(areas);
  });
  return total;
}

// Turns winners into segment ids in place and measures the segments.
void label_pixels(int32_t* map, const Geometry& g, const std::vector<int32_t>& segment_of,
                  std::vector<Segment>* segments) {
  // Not of `segments` itself: an earlier range may have added its pixels to that already.
  const std::vector<Segment> blank = *segments;
  std::mutex merge_mutex;
  at::parallel_for(0, g.height, 16, [&](int64_t begin, int64_t end) {
    std::vector<Segment> local = blank;
    for (int64_t y = begin; y < end; ++y) {
      int32_t* row = map + y * g.width;
      for (int64_t x = 0; x < g.width; ++x) {
        const int32_t entry = row[x];
        const int32_t id = entry >= 0 && (entry & 1) ? segment_of[entry >> 1] : 0;
        row[x] = id;
        if (id == 0) continue;
        Segment& segment = local[id - 1];
        ++segment.area;
        segment.left = std::min(segment.left, static_cast<int32_t>(x));
        segment.right = std::max(segment.right, static_cast<int32_t>(x));
        segment.top = std::min(segment.top, static_cast<int32_t>(y));
        segment.bottom = std::max(segment.bottom, static_cast<int32_t>(y));
      }
    }
    const std::lock_guard lock(merge_mutex);
    for (size_t i = 0; i < local.size(); ++i) {
      Segment& segment = (*segments)[i];
      segment.area += local[i].area;
      segment.left = std::min(segment.left, local[i].left);
      segment.right = std::max(segment.right, local[i].right);
      segment.top = std::min(segment.top, local[i].top);
      segment.bottom = std::max(segment.bottom, local[i].bottom);
    }
  });
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> panoptic_merge(
    const at::Tensor& mask_logits, const at::Tensor& scores, const at::Tensor& labels,
    const at::Tensor& thing, at::IntArrayRef geometry, double object_mask_threshold,
    double overlap_threshold) {
  const auto masks = checked_mask_logits(mask_logits);
  const Geometry g = checked_geometry(geometry);
  check(masks, scores, labels, thing);
  const auto score = scores.contiguous(), label = labels.contiguous(), flags = thing.contiguous();
  const auto queries = contestants(score, label, flags.size(0), object_mask_threshold);
  auto map = at::zeros({g.height, g.width}, at::kInt);
  auto* pixels = map.mutable_data_ptr<int32_t>();
  std::vector<Segment> segments;
  if (!queries.empty()) {
    const auto sampler = MaskSampler::to_output(masks, g);
    const Areas areas = hold_contest(sampler, queries, score.const_data_ptr<float>(), pixels);
    std::vector<int32_t> segment_of(masks.size(0)), stuff(flags.size(0));
    for (int64_t q = 0; q < masks.size(0); ++q) {
      if (areas.won[q] == 0 || areas.covered[q] == 0 || areas.kept[q] == 0) continue;
      const double share =
          static_cast<double>(areas.won[q]) / static_cast<double>(areas.covered[q]);
      if (share < overlap_threshold) continue;
      const int64_t k = label.const_data_ptr<int64_t>()[q];
      const float query_score = score.const_data_ptr<float>()[q];
      const bool is_thing = flags.const_data_ptr<bool>()[k];
      if (!is_thing && stuff[k] != 0) {
        Segment& first = segments[stuff[k] - 1];
        first.score = std::max(first.score, query_score);
        segment_of[q] = stuff[k];
        continue;
      }
      segments.push_back({.label = k,
                          .score = query_score,
                          .left = static_cast<int32_t>(g.width),
                          .top = static_cast<int32_t>(g.height)});
      segment_of[q] = static_cast<int32_t>(segments.size());
      if (!is_thing) stuff[k] = segment_of[q];
    }
    label_pixels(pixels, g, segment_of, &segments);
  }
  const auto count = static_cast<int64_t>(segments.size());
  auto classes = at::empty({count}, at::kLong), area = at::empty({count}, at::kLong);
  auto segment_scores = at::empty({count}, at::kFloat), boxes = at::empty({count, 4}, at::kInt);
  for (int64_t i = 0; i < count; ++i) {
    const Segment& s = segments[i];
    classes.mutable_data_ptr<int64_t>()[i] = s.label;
    area.mutable_data_ptr<int64_t>()[i] = s.area;
    segment_scores.mutable_data_ptr<float>()[i] = s.score;
    const int32_t box[4] = {s.left, s.top, s.right - s.left + 1, s.bottom - s.top + 1};
    std::copy_n(box, 4, boxes.mutable_data_ptr<int32_t>() + 4 * i);
  }
  return {map, classes, segment_scores, area, boxes};
}

}  // namespace lexiseg::ops
