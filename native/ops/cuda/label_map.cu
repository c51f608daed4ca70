// The class with the largest score at every output pixel, in tiles of bounded memory, on CUDA.
#include "ops/cuda/label_map.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "ops/cuda/resample.cuh"

namespace lexiseg::ops::cuda {
namespace {

constexpr int64_t kTileBytes = int64_t{64} << 20;
constexpr int64_t kMinTilePixels = 1024;
constexpr int kPixelsPerBlock = 32;
constexpr int kSlices = 8;

// A run of output pixels, row-major.
struct Tile {
  int64_t start, pixels, output_width;
};

// probs [Q, pixels]: the masks resized as logits, then sigmoid.
__global__ void __launch_bounds__(kThreads)
    resized_logits(MaskGrid grid, Tile tile, TapTables taps, float* __restrict__ probs) {
  const int64_t total = grid.queries * tile.pixels;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += step) {
    const int64_t pixel = tile.start + i % tile.pixels;
    const float* plane = grid.plane(i / tile.pixels);
    probs[i] = sigmoid(sample(plane, grid.width, taps.rows[pixel / tile.output_width],
                              taps.columns[pixel % tile.output_width]));
  }
}

// probs [Q, pixels]: sigmoid at network size, resized as probabilities. Class scores are linear in
// them, so this equals resizing the scores.
__global__ void __launch_bounds__(kThreads)
    resized_probs(MaskGrid grid, Tile tile, TapTables to_network, TapTables to_output,
                  float* __restrict__ probs) {
  const int64_t total = grid.queries * tile.pixels;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += step) {
    const int64_t pixel = tile.start + i % tile.pixels;
    const float* plane = grid.plane(i / tile.pixels);
    const Taps row = to_output.rows[pixel / tile.output_width];
    const Taps column = to_output.columns[pixel % tile.output_width];
    float sum = 0;
    for (int a = 0; a < kMaxTaps; ++a) {
      if (row.weight[a] == 0) continue;
      const Taps& network_row = to_network.rows[row.index[a]];
      for (int b = 0; b < kMaxTaps; ++b) {
        if (column.weight[b] == 0) continue;
        const float logit =
            sample(plane, grid.width, network_row, to_network.columns[column.index[b]]);
        sum += row.weight[a] * column.weight[b] * sigmoid(logit);
      }
    }
    probs[i] = sum;
  }
}

// A class and its score; the better of two has the larger score, or the lower class at equal
// scores.
struct Best {
  float score;
  int label;
};

__device__ inline Best better(Best a, Best b) {
  return b.score > a.score || (b.score == a.score && b.label < a.label) ? b : a;
}

// class_scores [K, pixels]. A block looks at kPixelsPerBlock pixels; kSlices threads share the
// classes of one.
__global__ void __launch_bounds__(kPixelsPerBlock* kSlices)
    best_class(const float* __restrict__ class_scores, int64_t classes, Tile tile,
               int* __restrict__ labels, float* __restrict__ scores) {
  __shared__ Best partial[kSlices][kPixelsPerBlock];
  const int lane = threadIdx.x % kPixelsPerBlock, slice = threadIdx.x / kPixelsPerBlock;
  const int64_t step = int64_t{gridDim.x} * kPixelsPerBlock;
  // The bound is the same for the whole block, so every thread meets every barrier.
  for (int64_t first = int64_t{blockIdx.x} * kPixelsPerBlock; first < tile.pixels; first += step) {
    const int64_t pixel = first + lane;
    Best best{-INFINITY, -1};
    for (int64_t c = slice; c < classes && pixel < tile.pixels; c += kSlices) {
      const float score = class_scores[c * tile.pixels + pixel];
      if (score > best.score) best = {score, static_cast<int>(c)};
    }
    partial[slice][lane] = best;
    __syncthreads();
    if (slice == 0 && pixel < tile.pixels) {
      for (int s = 1; s < kSlices; ++s) best = better(best, partial[s][lane]);
      labels[tile.start + pixel] = best.label;
      scores[tile.start + pixel] = best.label < 0 ? 0.0f : best.score;
    }
    __syncthreads();
  }
}

int64_t pixels_per_tile(int64_t queries, int64_t classes) {
  const int64_t pixel_bytes = (queries + classes) * static_cast<int64_t>(sizeof(float));
  return std::max(kMinTilePixels, kTileBytes / std::max<int64_t>(pixel_bytes, 1));
}

struct Resampling {
  DeviceTaps to_output;   // from the grid; from the network size where scores are resized
  DeviceTaps to_network;  // from the grid; only where scores are resized
  bool resize_scores;
};

Resampling resampling_for(const at::Tensor& logits, const Geometry& g, bool resize_scores) {
  const auto device = logits.device();
  if (!resize_scores) {
    return {DeviceTaps::from_grid_to_output(logits, g), {{}, {}, device}, false};
  }
  return {{bilinear_taps(g.valid_height, g.height), bilinear_taps(g.valid_width, g.width), device},
          {bilinear_taps(logits.size(1), g.network_height),
           bilinear_taps(logits.size(2), g.network_width), device},
          true};
}

void fill_probs(const MaskGrid& grid, const Tile& tile, const Resampling& r, float* probs) {
  const auto blocks = blocks_for(grid.queries * tile.pixels);
  if (r.resize_scores) {
    launch(resized_probs, blocks, kThreads, grid, tile, r.to_network.tables(), r.to_output.tables(),
           probs);
  } else {
    launch(resized_logits, blocks, kThreads, grid, tile, r.to_output.tables(), probs);
  }
}

void check_class_probs(const at::Tensor& class_probs, const at::Tensor& logits) {
  TORCH_CHECK(class_probs.dim() == 2 && class_probs.size(0) == logits.size(0) &&
                  class_probs.size(1) >= 1 && class_probs.scalar_type() == at::kFloat,
              "Expected float32 [", logits.size(0), ", K], K at least 1, for class_probs but ",
              "received ", class_probs.scalar_type(), " ", class_probs.sizes());
  TORCH_CHECK(class_probs.device() == logits.device(), "Expected class_probs on ", logits.device(),
              " but received it on ", class_probs.device());
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> label_map(const at::Tensor& mask_logits,
                                             const at::Tensor& class_probs,
                                             at::IntArrayRef geometry, bool resize_scores) {
  check_device(mask_logits, "mask_logits");
  const DeviceGuard guard(mask_logits.device());
  const Geometry g = checked_geometry(geometry);
  const auto logits = dense_grid(mask_logits, "mask_logits");
  check_class_probs(class_probs, logits);
  const auto probs_by_class = class_probs.t().contiguous();
  const int64_t queries = logits.size(0), classes = class_probs.size(1);
  auto labels = at::full({g.height, g.width}, -1, logits.options().dtype(at::kInt));
  auto scores = at::zeros({g.height, g.width}, logits.options());
  if (queries == 0) return {labels, scores};
  const auto resampling = resampling_for(logits, g, resize_scores);
  const int64_t tile_pixels = std::min(pixels_per_tile(queries, classes), g.pixels());
  const auto probs_memory = at::empty({queries * tile_pixels}, logits.options());
  const auto scores_memory = at::empty({classes * tile_pixels}, logits.options());
  const MaskGrid grid = mask_grid(logits);
  // TF32 keeps 10 bits, too few for an argmax over classes.
  const at::NoTF32Guard full_precision;
  for (int64_t start = 0; start < g.pixels(); start += tile_pixels) {
    const Tile tile{start, std::min(tile_pixels, g.pixels() - start), g.width};
    const auto probs =
        probs_memory.narrow(0, 0, queries * tile.pixels).view({queries, tile.pixels});
    auto class_scores =
        scores_memory.narrow(0, 0, classes * tile.pixels).view({classes, tile.pixels});
    fill_probs(grid, tile, resampling, probs.mutable_data_ptr<float>());
    at::mm_out(class_scores, probs_by_class, probs);
    launch(best_class, blocks_for(tile.pixels, kPixelsPerBlock), kPixelsPerBlock * kSlices,
           class_scores.const_data_ptr<float>(), classes, tile, labels.mutable_data_ptr<int>(),
           scores.mutable_data_ptr<float>());
  }
  return {labels, scores};
}

}  // namespace lexiseg::ops::cuda
