// Masks to disjoint segments (MaskFormer's panoptic inference) on CUDA.
#include "ops/cuda/panoptic_merge.h"

#include <ATen/ops/empty.h>

#include <limits>
#include <unordered_map>

#include "ops/cuda/resample.cuh"

namespace lexiseg::ops::cuda {
namespace {

// Pixels from low to high, both inside; empty at first.
struct Extent {
  int low_x, low_y, high_x, high_y;
};

constexpr Extent kNothing{std::numeric_limits<int>::max(), std::numeric_limits<int>::max(), -1, -1};

// Pixels of one query.
struct Claim {
  unsigned long long won;      // largest score * probability there
  unsigned long long covered;  // probability >= 0.5
  unsigned long long kept;     // both
  Extent extent;               // of the kept ones
};

struct Candidates {
  const float* scores;
  const int64_t* labels;
  int64_t void_label;
  double threshold;

  __device__ bool has(int64_t query) const {
    return scores[query] > threshold && labels[query] != void_label;
  }
};

// The comparisons read values that other threads may have moved on; that costs a needless atomic
// operation at worst.
__device__ inline void grow(Extent* extent, int x, int y) {
  if (x < extent->low_x) atomicMin(&extent->low_x, x);
  if (y < extent->low_y) atomicMin(&extent->low_y, y);
  if (x > extent->high_x) atomicMax(&extent->high_x, x);
  if (y > extent->high_y) atomicMax(&extent->high_y, y);
}

// winners: the query that keeps a pixel, or -1. Whole warps walk the pixels together, so that
// counts are added once per warp.
__global__ void __launch_bounds__(kThreads)
    claim_pixels(MaskGrid grid, TapTables taps, Geometry output, Candidates candidates,
                 Claim* __restrict__ claims, int* __restrict__ winners) {
  const int lane = threadIdx.x % kWarp;
  const int64_t total = output.height * output.width;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t first = int64_t{blockIdx.x} * blockDim.x; first < total; first += step) {
    const int64_t pixel = first + threadIdx.x;
    const bool exists = pixel < total;
    const int y = exists ? static_cast<int>(pixel / output.width) : 0;
    const int x = exists ? static_cast<int>(pixel % output.width) : 0;
    const Taps row = taps.rows[y], column = taps.columns[x];
    int winner = -1;
    float best = -1;
    bool winner_covers = false;
    for (int64_t query = 0; query < grid.queries; ++query) {
      if (!candidates.has(query)) continue;
      const float prob = sigmoid(sample(grid.plane(query), grid.width, row, column));
      const bool covers = exists && prob >= 0.5f;
      const unsigned covering = __ballot_sync(kFullWarp, covers);
      if (lane == 0 && covering != 0) {
        atomicAdd(&claims[query].covered, static_cast<unsigned long long>(__popc(covering)));
      }
      const float weighted = candidates.scores[query] * prob;
      if (weighted > best) {
        winner = static_cast<int>(query);
        best = weighted;
        winner_covers = covers;
      }
    }
    if (!exists) winner = -1;
    const unsigned same = __match_any_sync(kFullWarp, winner);
    const unsigned kept = __ballot_sync(kFullWarp, winner_covers) & same;
    if (winner >= 0 && lane == __ffs(same) - 1) {
      atomicAdd(&claims[winner].won, static_cast<unsigned long long>(__popc(same)));
      if (kept != 0) {
        atomicAdd(&claims[winner].kept, static_cast<unsigned long long>(__popc(kept)));
      }
    }
    if (!exists) continue;
    if (winner_covers) grow(&claims[winner].extent, x, y);
    winners[pixel] = winner_covers ? winner : -1;
  }
}

// pixels: winners in, segment ids out.
__global__ void __launch_bounds__(kThreads)
    name_segments(int64_t total, const int* __restrict__ segment_of_query, int* pixels) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += step) {
    pixels[i] = pixels[i] < 0 ? 0 : segment_of_query[pixels[i]];
  }
}

struct Segment {
  int64_t query, label;
  float score;
  int64_t area;
  Extent extent;
};

void absorb(Segment& segment, float score, const Claim& claim) {
  segment.score = std::max(segment.score, score);
  segment.area += static_cast<int64_t>(claim.kept);
  Extent& e = segment.extent;
  e = {std::min(e.low_x, claim.extent.low_x), std::min(e.low_y, claim.extent.low_y),
       std::max(e.high_x, claim.extent.high_x), std::max(e.high_y, claim.extent.high_y)};
}

struct Merged {
  std::vector<Segment> segments;
  std::vector<int> segment_of_query;  // id from 1, 0 where a query keeps nothing
};

// In order of the queries; a stuff class has one segment, named when its first query comes. A query
// that does not compete has won nothing.
Merged merge(const PanopticArguments& a, const std::vector<Claim>& claims) {
  const auto scores = a.scores.cpu().contiguous();
  const auto labels = a.labels.cpu().contiguous();
  const auto thing = a.thing.cpu().contiguous();
  std::unordered_map<int64_t, int> stuff;
  Merged merged{{}, std::vector<int>(claims.size(), 0)};
  for (size_t query = 0; query < claims.size(); ++query) {
    const float score = scores.const_data_ptr<float>()[query];
    const int64_t label = labels.const_data_ptr<int64_t>()[query];
    const Claim& claim = claims[query];
    TORCH_CHECK(label >= 0 && label <= thing.numel(), "Expected a class of 0 to ", thing.numel(),
                " for labels[", query, "] but received ", label);
    if (claim.won == 0 || claim.covered == 0 || claim.kept == 0) continue;
    const double overlap = static_cast<double>(claim.won) / static_cast<double>(claim.covered);
    if (overlap < a.overlap_threshold) continue;
    int id = static_cast<int>(merged.segments.size()) + 1;
    if (!thing.const_data_ptr<bool>()[label]) id = stuff.try_emplace(label, id).first->second;
    if (id > static_cast<int>(merged.segments.size())) {
      merged.segments.push_back({static_cast<int64_t>(query), label, score, 0, kNothing});
    }
    absorb(merged.segments[id - 1], score, claim);
    merged.segment_of_query[query] = id;
  }
  return merged;
}

std::vector<Claim> read_claims(const at::Tensor& bytes) {
  const auto host = bytes.cpu();
  std::vector<Claim> claims(host.numel() / sizeof(Claim));
  if (!claims.empty()) std::memcpy(claims.data(), host.const_data_ptr(), host.numel());
  return claims;
}

void check_arguments(const PanopticArguments& a) {
  const int64_t queries = a.mask_logits.size(0);
  TORCH_CHECK(
      a.scores.dim() == 1 && a.scores.size(0) == queries && a.scores.scalar_type() == at::kFloat,
      "Expected float32 [", queries, "] for scores but received ", a.scores.sizes());
  TORCH_CHECK(
      a.labels.dim() == 1 && a.labels.size(0) == queries && a.labels.scalar_type() == at::kLong,
      "Expected int64 [", queries, "] for labels but received ", a.labels.sizes());
  TORCH_CHECK(a.thing.dim() == 1 && a.thing.scalar_type() == at::kBool,
              "Expected bool [K] for thing but received ", a.thing.sizes());
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> panoptic_merge(
    const PanopticArguments& a) {
  check_device(a.mask_logits, "mask_logits");
  const auto device = a.mask_logits.device();
  const DeviceGuard guard(device);
  const Geometry g = checked_geometry(a.geometry);
  const auto logits = dense_grid(a.mask_logits, "mask_logits");
  check_arguments(a);
  const auto scores = a.scores.to(device).contiguous(), labels = a.labels.to(device).contiguous();
  const auto taps = DeviceTaps::from_grid_to_output(logits, g);
  const std::vector<Claim> unclaimed(logits.size(0), Claim{0, 0, 0, kNothing});
  const auto claims = upload(unclaimed, device);
  auto segment_ids = at::empty({g.height, g.width}, logits.options().dtype(at::kInt));
  const Candidates candidates{scores.const_data_ptr<float>(), labels.const_data_ptr<int64_t>(),
                              a.thing.numel(), a.object_mask_threshold};
  const auto blocks = blocks_for(g.pixels());
  launch(claim_pixels, blocks, kThreads, mask_grid(logits), taps.tables(), g, candidates,
         static_cast<Claim*>(claims.mutable_data_ptr()), segment_ids.mutable_data_ptr<int>());
  const Merged merged = merge(a, read_claims(claims));
  const auto names = upload(merged.segment_of_query, device);
  launch(name_segments, blocks, kThreads, g.pixels(),
         static_cast<const int*>(names.const_data_ptr()), segment_ids.mutable_data_ptr<int>());

  const auto count = static_cast<int64_t>(merged.segments.size());
  auto classes = at::empty({count}, at::kLong), areas = at::empty({count}, at::kLong);
  auto segment_scores = at::empty({count}, at::kFloat), boxes = at::empty({count, 4}, at::kInt);
  auto queries = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    const Segment& segment = merged.segments[i];
    classes.mutable_data_ptr<int64_t>()[i] = segment.label;
    segment_scores.mutable_data_ptr<float>()[i] = segment.score;
    queries.mutable_data_ptr<int64_t>()[i] = segment.query;
    areas.mutable_data_ptr<int64_t>()[i] = segment.area;
    const Extent& e = segment.extent;
    const int box[4] = {e.low_x, e.low_y, e.high_x - e.low_x + 1, e.high_y - e.low_y + 1};
    std::copy(box, box + 4, boxes.mutable_data_ptr<int>() + i * 4);
  }
  return {segment_ids, classes, segment_scores, areas, boxes, queries};
}

}  // namespace lexiseg::ops::cuda
