// From a network's proposals to results at output size, through the ops library.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

namespace lexiseg {

// (height, width) of the padded network input, of the resized image inside it, of the result.
using Geometry = std::array<int64_t, 6>;

// The image of a batch that is wanted, with what the network said of it.
struct ImageProposals {
  at::Tensor mask_logits;      // float [B, Q, h, w]
  at::Tensor class_log_probs;  // float [B, Q, K + 1], last is void
  int64_t index;               // which of the B images
  Geometry geometry;
};

// The image of a batch that is wanted, with its class logits.
struct ImageLogits {
  at::Tensor class_logits;          // float [B, K, h, w]
  int64_t index;                    // which of the B images
  std::vector<double> area;         // (top, left, height, width) of their grid in the network input
  std::array<int64_t, 4> geometry;  // (height, width) of the resized image, of the result
};

struct LabelMap {
  at::Tensor labels;  // int32 [H, W]
  at::Tensor scores;  // float32 [H, W]
};

struct PanopticMap {
  at::Tensor segment_ids;  // int32 [H, W]; 0 is unlabelled
  at::Tensor classes;      // int32 [N]
  at::Tensor scores;       // float32 [N]
  at::Tensor areas;        // int32 [N], pixels
  at::Tensor boxes;        // int32 [N, 4]: x, y, width, height
  at::Tensor queries;      // int32 [N]: the first query that each segment is made of
};

struct Instances {
  at::Tensor counts;   // int32 [R]: run lengths, column-major, zeros first
  at::Tensor offsets;  // int32 [N + 1] into counts
  at::Tensor classes;  // int32 [N]
  at::Tensor scores;   // float32 [N]
  at::Tensor areas;    // int32 [N], pixels
  at::Tensor boxes;    // int32 [N, 4]
};

// All results are on the CPU and contiguous. They throw Error(ERR_TENSOR) for what does not fit.
// one_mask_at: each class has only the mask that suits it best, whole where its probability is
// above that; the label is -1 where none is (the demo of arXiv 2210.04150).
LabelMap label_map(const ImageProposals& proposals, bool resize_scores,
                   std::optional<double> one_mask_at);

// most_entropy, in nats: pixels whose softmax over classes has more get no label.
LabelMap dense_label_map(const ImageLogits& logits, std::optional<double> most_entropy);

// thing: bool [K].
PanopticMap panoptic_merge(const ImageProposals& proposals, const at::Tensor& thing,
                           double object_mask_threshold, double overlap_threshold);

Instances select_instances(const ImageProposals& proposals, const at::Tensor& thing, int64_t top_k);

// uint8 [H, W] row-major, non-zero is inside → int32 [R] run lengths, column-major, zeros first.
at::Tensor rle_encode(const at::Tensor& mask);

// Inverse of rle_encode; the counts must add up to height * width.
at::Tensor rle_decode(const at::Tensor& counts, int64_t height, int64_t width);

// float32 [N, M] costs → int32 [N]: the column of each row in the matching of least cost, -1 for
// rows without one.
at::Tensor assign(const at::Tensor& cost);

// A copy in memory of its own, contiguous, on another device or in another dtype.
at::Tensor transfer(const at::Tensor& tensor, c10::Device device, at::ScalarType dtype);

}  // namespace lexiseg
