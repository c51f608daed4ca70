#include "ops/select_instances.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "ops/check.h"
#include "ops/kernels/kernels.h"
#include "ops/pieces.h"
#include "ops/rle.h"
#include "ops/tile_plan.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

struct Candidate {
  int64_t query, label;
  float prob;
};

// A mask of logits over 0 at output size.
struct Mask {
  std::vector<int32_t> runs;
  int64_t area = 0;
  double mean_prob = 0;
  int32_t box[4] = {};  // x, y, width, height
};

std::vector<Candidate> top_candidates(const Tensor& class_probs, const Tensor& thing, int64_t top_k,
                                      bool things_only) {
  const int64_t classes = class_probs.size(1);
  const float* probs = class_probs.const_data_ptr<float>();
  const bool* is_thing = thing.const_data_ptr<bool>();
  std::vector<int64_t> order;
  order.reserve(class_probs.numel());
  for (int64_t i = 0; i < class_probs.numel(); ++i) {
    if (!std::isnan(probs[i])) order.push_back(i);
  }
  const auto kept =
      static_cast<size_t>(std::min<int64_t>(top_k, static_cast<int64_t>(order.size())));
  std::partial_sort(
      order.begin(), order.begin() + static_cast<int64_t>(kept), order.end(),
      [&](int64_t a, int64_t b) { return probs[a] != probs[b] ? probs[a] > probs[b] : a < b; });
  order.resize(kept);
  std::vector<Candidate> candidates;
  for (const int64_t i : order) {
    if (things_only && !is_thing[i % classes]) continue;
    candidates.push_back({i / classes, i % classes, probs[i]});
  }
  return candidates;
}

// Traces one mask after another. A column of the output is a row of the transposed mask, so that
// run lengths come in their order.
class Tracer {
 public:
  Tracer(const Tensor& masks, const TilePlan& plan, const Geometry& g)
      : masks_(masks),
        plan_(plan),
        transposed_(masks.size(1) * masks.size(2)),
        samples_(plan.sample_floats()),
        columns_(g.height, g.width) {}

  Mask trace(int64_t query) {
    transpose(query);
    Mask mask;
    double total = 0;
    for (int64_t i = 0; i < plan_.tiles(); ++i) {
      const Tile tile = plan_.tile(i);
      uint64_t* words = columns_.column(tile.top) + tile.block;
      float least, most;
      plan_.range(transposed_.data(), tile, &least, &most);
      if (most < 0) {
        for (int64_t r = 0; r < tile.rows; ++r) words[r * columns_.words_per_column()] = 0;
        continue;
      }
      const BlendedRows rows = plan_.blend(transposed_.data(), tile, samples_.data());
      total += kernels().tile.trace(plan_.columns()[tile.block], rows, words,
                                    columns_.words_per_column());
    }
    measure(mask);
    mask.mean_prob = total / (static_cast<double>(mask.area) + 1e-6);
    if (mask.area > 0) mask.runs = runs_of(columns_);
    return mask;
  }

 private:
  void transpose(int64_t query) {
    constexpr int64_t kBlock = 16;
    const int64_t height = masks_.size(1), width = masks_.size(2);
    const float* from = masks_.const_data_ptr<float>() + query * height * width;
    for (int64_t top = 0; top < height; top += kBlock) {
      for (int64_t x = 0; x < width; ++x) {
        for (int64_t y = top; y < std::min(top + kBlock, height); ++y) {
          transposed_[x * height + y] = from[y * width + x];
        }
      }
    }
  }

  void measure(Mask& mask) const {
    const int64_t words = columns_.words_per_column();
    std::vector<uint64_t> rows(words);
    int64_t left = columns_.width(), right = -1;
    for (int64_t x = 0; x < columns_.width(); ++x) {
      uint64_t any = 0;
      for (int64_t i = 0; i < words; ++i) {
        const uint64_t word = columns_.column(x)[i];
        mask.area += std::popcount(word);
        rows[i] |= word;
        any |= word;
      }
      if (any == 0) continue;
      left = std::min(left, x);
      right = x;
    }
    if (mask.area == 0) return;
    const auto is_set = [](uint64_t word) { return word != 0; };
    const int64_t first = std::find_if(rows.begin(), rows.end(), is_set) - rows.begin();
    const int64_t last = rows.rend() - std::find_if(rows.rbegin(), rows.rend(), is_set) - 1;
    const int64_t top = first * 64 + std::countr_zero(rows[first]);
    const int64_t bottom = last * 64 + 63 - std::countl_zero(rows[last]);
    const int64_t box[4] = {left, top, right - left + 1, bottom - top + 1};
    std::transform(box, box + 4, mask.box, [](int64_t side) { return static_cast<int32_t>(side); });
  }

  const Tensor& masks_;
  const TilePlan& plan_;
  std::vector<float> transposed_, samples_;
  BitColumns columns_;
};

// The masks of the candidates' queries, each made once however many classes it is kept for.
std::map<int64_t, Mask> trace_all(const Tensor& masks, const Geometry& g,
                                  const std::vector<Candidate>& candidates) {
  std::map<int64_t, Mask> by_query;
  for (const Candidate& candidate : candidates) by_query.try_emplace(candidate.query);
  std::vector<std::pair<const int64_t, Mask>*> entries;
  for (auto& entry : by_query) entries.push_back(&entry);
  if (entries.empty()) return by_query;
  const auto plan = TilePlan::to_output_transposed(masks.size(1), masks.size(2), g);
  Pieces pieces(static_cast<int64_t>(entries.size()), 1);
  pieces.on_all_threads([&] {
    Tracer tracer(masks, plan, g);
    for (auto piece = pieces.take(); piece.is_some(); piece = pieces.take()) {
      entries[piece.begin]->second = tracer.trace(entries[piece.begin]->first);
    }
  });
  return by_query;
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> select_instances(
    const Tensor& mask_logits, const Tensor& class_probs, const Tensor& thing,
    at::IntArrayRef geometry, int64_t top_k, bool things_only) {
  const auto masks = checked_grid(mask_logits, "mask_logits");
  const Geometry g = checked_geometry(geometry);
  check_tensor(class_probs, "class_probs", {at::kFloat}, 2);
  LEXISEG_EXPECT(class_probs.size(0) == masks.size(0),
                 c10::str("one row for each of ", masks.size(0), " queries"), "class_probs",
                 describe(class_probs));
  check_tensor(thing, "thing", {at::kBool}, 1);
  check_sizes(thing, "thing", {class_probs.size(1)});
  LEXISEG_EXPECT(top_k >= 0, "at least 0", "top_k", top_k);
  const auto candidates =
      top_candidates(class_probs.contiguous(), thing.contiguous(), top_k, things_only);
  const auto traced = trace_all(masks, g, candidates);
  struct Instance {
    const Mask* mask;
    int64_t label;
    float score;
  };
  std::vector<Instance> instances;
  for (const Candidate& candidate : candidates) {
    const Mask& mask = traced.at(candidate.query);
    if (mask.area == 0) continue;
    const auto score = static_cast<float>(candidate.prob * mask.mean_prob);
    instances.push_back({&mask, candidate.label, score});
  }
  std::stable_sort(instances.begin(), instances.end(),
                   [](const Instance& a, const Instance& b) { return a.score > b.score; });
  const auto count = static_cast<int64_t>(instances.size());
  auto classes = at::empty({count}, at::kLong), areas = at::empty({count}, at::kLong);
  auto scores = at::empty({count}, at::kFloat), boxes = at::empty({count, 4}, at::kInt);
  std::vector<std::vector<int32_t>> runs;
  for (int64_t i = 0; i < count; ++i) {
    const auto& [mask, label, score] = instances[i];
    runs.push_back(mask->runs);
    classes.mutable_data_ptr<int64_t>()[i] = label;
    areas.mutable_data_ptr<int64_t>()[i] = mask->area;
    scores.mutable_data_ptr<float>()[i] = score;
    std::copy_n(mask->box, 4, boxes.mutable_data_ptr<int32_t>() + 4 * i);
  }
  auto [counts, offsets] = pack_runs(runs);
  return {counts, offsets, classes, scores, areas, boxes};
}

}  // namespace lexiseg::ops
