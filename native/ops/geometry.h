// Where the pixels of a result come from: the int[6] geometry of the ops, checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <cmath>
#include <cstdint>

#include "ops/check.h"

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
  LEXISEG_EXPECT(g.size() == 6, "6 sizes", "geometry", g);
  for (const int64_t side : g) {
    LEXISEG_EXPECT(side >= 1 && side <= kMaxSide, "sizes of 1 to 2^20", "geometry", g);
  }
  LEXISEG_EXPECT(g[2] <= g[0] && g[3] <= g[1], "a valid size inside the network size", "geometry",
                 g);
  LEXISEG_EXPECT(g[4] * g[5] <= kMaxPixels, "an output of at most 2^30 pixels", "geometry", g);
  return {g[0], g[1], g[2], g[3], g[4], g[5]};
}

// What the cells of a grid fill, in pixels of the network input. They may begin inside it, where
// the outermost of them repeat, and reach beyond it.
struct GridArea {
  float top, left, height, width;
};

// (top, left, height, width) from an op's argument.
inline GridArea checked_area(at::ArrayRef<double> a) {
  constexpr double kMost = 1 << 20;
  LEXISEG_EXPECT(a.size() == 4, "4 numbers", "area", a);
  // A size near 0 would give scales that are no numbers, and places to read far outside.
  const bool fits = std::abs(a[0]) <= kMost && std::abs(a[1]) <= kMost && a[2] >= 1 && a[3] >= 1 &&
                    a[2] <= kMost && a[3] <= kMost;
  LEXISEG_EXPECT(fits, "places of -2^20 to 2^20 and sizes of 1 to 2^20", "area", a);
  return {static_cast<float>(a[0]), static_cast<float>(a[1]), static_cast<float>(a[2]),
          static_cast<float>(a[3])};
}

// Planes on a grid as every op takes them: float32 [N, h, w], h and w from 1 to 2^20; which device
// they are on is for the op to check.
inline at::Tensor dense_grid(const at::Tensor& planes, const char* name) {
  constexpr int64_t kMaxSide = int64_t{1} << 20;
  check_dense(planes, name, {at::kFloat}, 3);
  LEXISEG_EXPECT(planes.size(1) >= 1 && planes.size(1) <= kMaxSide && planes.size(2) >= 1 &&
                     planes.size(2) <= kMaxSide,
                 "planes with sides of 1 to 2^20", name, describe(planes));
  return planes.contiguous();
}

// The same on the CPU.
inline at::Tensor checked_grid(const at::Tensor& planes, const char* name) {
  check_tensor(planes, name, {at::kFloat}, 3);
  return dense_grid(planes, name);
}

}  // namespace lexiseg::ops
