// Where the pixels of a result come from: the int[6] geometry of the ops, checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lexiseg::ops::cuda {

struct Geometry {
  int64_t network_height, network_width;  // padded network input
  int64_t valid_height, valid_width;      // resized image, top left inside it
  int64_t height, width;                  // output

  int64_t pixels() const { return height * width; }
};

inline Geometry checked_geometry(at::IntArrayRef g) {
  TORCH_CHECK(g.size() == 6, "Expected 6 sizes for geometry but received ", g);
  constexpr int64_t kMaxSide = int64_t{1} << 30;
  for (const int64_t side : g) {
    TORCH_CHECK(side >= 1 && side <= kMaxSide, "Expected positive sizes for geometry but received ",
                g);
  }
  TORCH_CHECK(g[2] <= g[0] && g[3] <= g[1],
              "Expected a valid size inside the network size for geometry but received ", g);
  return {g[0], g[1], g[2], g[3], g[4], g[5]};
}

}  // namespace lexiseg::ops::cuda
