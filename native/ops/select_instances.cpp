#include "ops/select_instances.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "ops/kernels/kernels.h"
#include "ops/mask_sampler.h"
#include "ops/rle.h"

namespace lexiseg::ops {
namespace {

struct Candidate {
  int64_t query, label;
  float prob;
};

// A binary mask at output size.
struct Mask {
  std::vector<int32_t> runs;
  int64_t area = 0;
  double mean_prob = 0;
  int32_t left = std::numeric_limits<int32_t>::max(), top = left, right = -1, bottom = -1;
};

std::vector<Candidate> top_candidates(const at::Tensor& class_probs, const at::Tensor& thing,
                                      int64_t top_k, bool things_only) {
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

// Columns of the output come one after another, which is the order of COCO's runs.
Mask trace(const MaskSampler& columns, int64_t query) {
  Mask mask;
  RunWriter runs;
  const int64_t height = columns.columns().plan().width;
  std::vector<float> row(columns.row_floats()), logits(columns.columns().padded_width());
  std::vector<float> probs(logits.size());
  for (int64_t x = 0; x < columns.height(); ++x) {
    columns.read(query, x, row.data(), logits.data());
    std::copy(logits.begin(), logits.end(), probs.begin());
    kernels().resample.sigmoid(probs.data(), height);
    for (int64_t y = 0; y < height; ++y) {
      const bool inside = logits[y] > 0;
      runs.push(inside);
      if (!inside) continue;
      ++mask.area;
      mask.mean_prob += probs[y];
      mask.left = std::min(mask.left, static_cast<int32_t>(x));
      mask.right = static_cast<int32_t>(x);
      mask.top = std::min(mask.top, static_cast<int32_t>(y));
      mask.bottom = std::max(mask.bottom, static_cast<int32_t>(y));
    }
  }
  mask.mean_prob /= static_cast<double>(mask.area) + 1e-6;
  mask.runs = runs.finish();
  return mask;
}

// The masks of the candidates' queries, each made once however many classes it is kept for.
std::map<int64_t, Mask> trace_all(const at::Tensor& masks, const Geometry& g,
                                  const std::vector<Candidate>& candidates) {
  std::map<int64_t, Mask> by_query;
  for (const Candidate& candidate : candidates) by_query.try_emplace(candidate.query);
  std::vector<std::pair<const int64_t, Mask>*> entries;
  for (auto& entry : by_query) entries.push_back(&entry);
  if (entries.empty()) return by_query;
  const auto sampler = MaskSampler::to_output_columns(masks, g);
  at::parallel_for(0, static_cast<int64_t>(entries.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) entries[i]->second = trace(sampler, entries[i]->first);
  });
  return by_query;
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> select_instances(
    const at::Tensor& mask_logits, const at::Tensor& class_probs, const at::Tensor& thing,
    at::IntArrayRef geometry, int64_t top_k, bool things_only) {
  const auto masks = checked_mask_logits(mask_logits);
  const Geometry g = checked_geometry(geometry);
  TORCH_CHECK(class_probs.dim() == 2 && class_probs.size(0) == masks.size(0) &&
                  class_probs.scalar_type() == at::kFloat,
              "Expected float32 [", masks.size(0), ", K] for class_probs but received ",
              class_probs.scalar_type(), " ", class_probs.sizes());
  TORCH_CHECK(
      thing.dim() == 1 && thing.size(0) == class_probs.size(1) && thing.scalar_type() == at::kBool,
      "Expected bool [", class_probs.size(1), "] for thing but received ", thing.scalar_type(), " ",
      thing.sizes());
  TORCH_CHECK(top_k >= 0, "Expected at least 0 for top_k but received ", top_k);
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
    const int32_t box[4] = {mask->left, mask->top, mask->right - mask->left + 1,
                            mask->bottom - mask->top + 1};
    std::copy_n(box, 4, boxes.mutable_data_ptr<int32_t>() + 4 * i);
  }
  auto [counts, offsets] = pack_runs(runs);
  return {counts, offsets, classes, scores, areas, boxes};
}

}  // namespace lexiseg::ops
