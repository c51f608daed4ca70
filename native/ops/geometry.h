// Where the pixels of a result come from: the int[6] geometry of the ops, checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lexiseg::ops {

struct Geometry {
  int64_t network_height, network_width;  // padded network input
  int64_t valid_height, valid_width;      // resized image, top left inside it
  int64_t height, width;                  // output

  int64_t pixels() const { return height * width; }
};

inline Geometry checked_geometry(at::IntArrayRef g) {
  constexpr int64_t kMaxSide = int64_t{1} << 20;
  constexpr int64_t kMaxPixels = int64_t{1} << 30;
  TORCH_CHECK(g.size() == 6, "Expected 6 sizes for geometry but received ", g);
  for (const int64_t side : g) {
    TORCH_CHECK(side >= 1 && side <= kMaxSide, "Expected sizes of 1 to ", kMaxSide,
                " for geometry but received ", g);
  }
  TORCH_CHECK(g[2] <= g[0] && g[3] <= g[1],
              "Expected a valid size inside the network size for geometry but received ", g);
  TORCH_CHECK(g[4] * g[5] <= kMaxPixels, "Expected an output of at most ", kMaxPixels,
              " pixels for geometry but received ", g);
  return {g[0], g[1], g[2], g[3], g[4], g[5]};
}

// Mask logits as every op takes them: float32 [Q, h, w], h and w at least 1.
inline at::Tensor checked_mask_logits(const at::Tensor& mask_logits) {
  TORCH_CHECK(mask_logits.dim() == 3 && mask_logits.size(1) > 0 && mask_logits.size(2) > 0 &&
                  mask_logits.scalar_type() == at::kFloat,
              "Expected float32 [Q, h, w] for mask_logits but received ", mask_logits.scalar_type(),
              " ", mask_logits.sizes());
  return mask_logits.contiguous();
}

}  // namespace lexiseg::ops
