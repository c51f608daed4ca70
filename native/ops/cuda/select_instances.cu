// The best (query, class) pairs as instances with masks, scores and boxes, on CUDA.
#include "ops/cuda/select_instances.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "ops/cuda/resample.cuh"
#include "ops/cuda/rle.h"

namespace lexiseg::ops::cuda {
namespace {

constexpr int64_t kMaxMasksPerChunk = 4096;
constexpr int64_t kPixelsPerThread = 16;

// What one mask covers at output size.
struct Coverage {
  unsigned long long area;
  double prob_sum;  // of the mask probabilities inside
  int low_x, low_y, high_x, high_y;
};

constexpr Coverage kEmpty{0,  0.0, std::numeric_limits<int>::max(), std::numeric_limits<int>::max(),
                          -1, -1};

template <typename Value, typename Combine>
__device__ Value warp_reduce(Value value, Combine combine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(kFullWarp, value, distance));
  }
  return value;
}

// masks: uint8 [n, W * H], column-major. Mask blockIdx.y is that of queries[blockIdx.y].
__global__ void __launch_bounds__(kThreads)
    cover_pixels(MaskGrid grid, TapTables taps, Geometry output, const int64_t* queries,
                 uint8_t* __restrict__ masks, Coverage* __restrict__ coverages) {
  const int64_t total = output.height * output.width;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  const float* plane = grid.plane(queries[blockIdx.y]);
  uint8_t* mask = masks + blockIdx.y * total;
  Coverage own = kEmpty;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += step) {
    const int x = static_cast<int>(i / output.height), y = static_cast<int>(i % output.height);
    const float logit = sample(plane, grid.width, taps.rows[y], taps.columns[x]);
    mask[i] = logit > 0;
    if (!(logit > 0)) continue;
    own = {own.area + 1,       own.prob_sum + sigmoid(logit),
           min(own.low_x, x),  min(own.low_y, y),
           max(own.high_x, x), max(own.high_y, y)};
  }
  const auto add = [](auto a, auto b) { return a + b; };
  const auto smaller = [](int a, int b) { return min(a, b); };
  const auto larger = [](int a, int b) { return max(a, b); };
  own = {warp_reduce(own.area, add),      warp_reduce(own.prob_sum, add),
         warp_reduce(own.low_x, smaller), warp_reduce(own.low_y, smaller),
         warp_reduce(own.high_x, larger), warp_reduce(own.high_y, larger)};
  if (threadIdx.x % kWarp != 0 || own.area == 0) return;
  Coverage& all = coverages[blockIdx.y];
  atomicAdd(&all.area, own.area);
  atomicAdd(&all.prob_sum, own.prob_sum);
  atomicMin(&all.low_x, own.low_x);
  atomicMin(&all.low_y, own.low_y);
  atomicMax(&all.high_x, own.high_x);
  atomicMax(&all.high_y, own.high_y);
}

struct Candidate {
  int64_t query, label;
  float prob;
};

// The top_k largest of [Q, K] but NaN, of which those of stuff classes are dropped afterwards.
std::vector<Candidate> best_pairs(const InstanceArguments& a) {
  constexpr double kLast = -std::numeric_limits<double>::infinity();
  const auto flat =
      a.class_probs.reshape({-1}).masked_fill(a.class_probs.reshape({-1}).isnan(), kLast);
  const int64_t classes = a.class_probs.size(1);
  const auto [sorted, order] = at::sort(flat, /*stable=*/true, /*dim=*/0, /*descending=*/true);
  const int64_t count = std::min(a.top_k, flat.numel());
  const auto probs = sorted.narrow(0, 0, count).cpu(), pairs = order.narrow(0, 0, count).cpu();
  const auto thing = a.thing.cpu().contiguous();
  std::vector<Candidate> candidates;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t pair = pairs.const_data_ptr<int64_t>()[i], label = pair % classes;
    const float prob = probs.const_data_ptr<float>()[i];
    if (prob == kLast) break;
    if (a.things_only && !thing.const_data_ptr<bool>()[label]) continue;
    candidates.push_back({pair / classes, label, prob});
  }
  return candidates;
}

// What is known of each query that some candidate has; rows belongs to the queries' indices.
struct Masks {
  std::vector<Coverage> coverages;
  std::vector<std::vector<int32_t>> runs;
  std::vector<int64_t> row_of_query;
};

void append_chunk(const at::Tensor& logits, const Geometry& g, const DeviceTaps& taps,
                  const std::vector<int64_t>& queries, Masks& out) {
  const auto device = logits.device();
  const auto count = static_cast<int64_t>(queries.size());
  const auto masks = at::empty({count, g.pixels()}, logits.options().dtype(at::kByte));
  const auto device_queries = upload(queries, device);
  const auto coverages = upload(std::vector<Coverage>(count, kEmpty), device);
  const dim3 blocks(blocks_for(g.pixels(), kThreads * kPixelsPerThread),
                    static_cast<unsigned>(count));
  launch(cover_pixels, blocks, kThreads, mask_grid(logits), taps.tables(), g,
         static_cast<const int64_t*>(device_queries.const_data_ptr()),
         masks.mutable_data_ptr<uint8_t>(), static_cast<Coverage*>(coverages.mutable_data_ptr()));
  for (auto& runs : run_lengths(masks)) out.runs.push_back(std::move(runs));
  const auto host = coverages.cpu();
  const size_t known = out.coverages.size();
  out.coverages.resize(known + queries.size());
  std::memcpy(out.coverages.data() + known, host.const_data_ptr(), host.numel());
}

Masks masks_of(const InstanceArguments& a, const std::vector<Candidate>& candidates) {
  const Geometry g = checked_geometry(a.geometry);
  const auto logits = dense_grid(a.mask_logits, "mask_logits");
  const auto taps = DeviceTaps::from_grid_to_output(logits, g);
  const auto chunk =
      static_cast<size_t>(std::clamp<int64_t>(kRleChunkBytes / g.pixels(), 1, kMaxMasksPerChunk));
  Masks masks{{}, {}, std::vector<int64_t>(logits.size(0), -1)};
  std::vector<int64_t> queries;
  int64_t rows = 0;
  for (const Candidate& candidate : candidates) {
    if (masks.row_of_query[candidate.query] >= 0) continue;
    masks.row_of_query[candidate.query] = rows++;
    queries.push_back(candidate.query);
    if (queries.size() < chunk) continue;
    append_chunk(logits, g, taps, queries, masks);
    queries.clear();
  }
  if (!queries.empty()) append_chunk(logits, g, taps, queries, masks);
  return masks;
}

struct Instance {
  int64_t label, row;
  float score;
};

void check_arguments(const InstanceArguments& a) {
  TORCH_CHECK(a.mask_logits.dim() == 3 && a.class_probs.device() == a.mask_logits.device(),
              "Expected mask_logits [Q, h, w] and class_probs [Q, K] on one device");
  TORCH_CHECK(a.class_probs.dim() == 2 && a.class_probs.scalar_type() == at::kFloat &&
                  a.class_probs.size(0) == a.mask_logits.size(0),
              "Expected float32 [", a.mask_logits.size(0), ", K] for class_probs but received ",
              a.class_probs.scalar_type(), " ", a.class_probs.sizes());
  TORCH_CHECK(a.thing.dim() == 1 && a.thing.scalar_type() == at::kBool &&
                  a.thing.size(0) == a.class_probs.size(1),
              "Expected bool [", a.class_probs.size(1), "] for thing but received ",
              a.thing.scalar_type(), " ", a.thing.sizes());
  TORCH_CHECK(a.top_k >= 0, "Expected a count for top_k but received ", a.top_k);
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> select_instances(
    const InstanceArguments& a) {
  check_device(a.mask_logits, "mask_logits");
  check_arguments(a);
  const DeviceGuard guard(a.mask_logits.device());
  const auto candidates = best_pairs(a);
  const Masks masks = masks_of(a, candidates);
  std::vector<Instance> instances;
  for (const Candidate& candidate : candidates) {
    const int64_t row = masks.row_of_query[candidate.query];
    const Coverage& coverage = masks.coverages[row];
    if (coverage.area == 0) continue;
    const double mask_score = coverage.prob_sum / (static_cast<double>(coverage.area) + 1e-6);
    instances.push_back({candidate.label, row, static_cast<float>(candidate.prob * mask_score)});
  }
  std::stable_sort(instances.begin(), instances.end(), [](const Instance& a, const Instance& b) {
    return a.score > b.score || (std::isnan(b.score) && !std::isnan(a.score));
  });

  const auto count = static_cast<int64_t>(instances.size());
  auto classes = at::empty({count}, at::kLong), areas = at::empty({count}, at::kLong);
  auto scores = at::empty({count}, at::kFloat), boxes = at::empty({count, 4}, at::kInt);
  std::vector<std::vector<int32_t>> runs;
  for (int64_t i = 0; i < count; ++i) {
    const Instance& instance = instances[i];
    const Coverage& c = masks.coverages[instance.row];
    classes.mutable_data_ptr<int64_t>()[i] = instance.label;
    scores.mutable_data_ptr<float>()[i] = instance.score;
    areas.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(c.area);
    const int box[4] = {c.low_x, c.low_y, c.high_x - c.low_x + 1, c.high_y - c.low_y + 1};
    std::copy(box, box + 4, boxes.mutable_data_ptr<int>() + i * 4);
    runs.push_back(masks.runs[instance.row]);
  }
  const auto [counts, offsets] = pack_runs(runs);
  return {counts, offsets, classes, scores, areas, boxes};
}

}  // namespace lexiseg::ops::cuda
