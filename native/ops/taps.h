// One axis of a bilinear resampling as taps: which samples an output pixel reads, with what weight.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ops/kernels/tile.h"

namespace lexiseg::ops {

// Bilinear, without antialias: `out` pixels from `in` samples, which fill `length` pixels from
// `begin` on and repeat at their border.
inline std::vector<Taps> placed_taps(int64_t in, int64_t out, float begin, float length) {
  std::vector<Taps> taps(out);
  const float scale = static_cast<float>(in) / length;
  for (int64_t i = 0; i < out; ++i) {
    const float centre = static_cast<float>(i) + 0.5f - begin;
    const float position = std::clamp(scale * centre - 0.5f, 0.0f, static_cast<float>(in - 1));
    const auto low = std::min<int64_t>(static_cast<int64_t>(position), in - 1);
    const auto high = std::min<int64_t>(low + 1, in - 1);
    const float share = std::clamp(position - static_cast<float>(low), 0.0f, 1.0f);
    const auto first = static_cast<int32_t>(low);
    taps[i] = {{first, static_cast<int32_t>(high), first, first}, {1.0f - share, share, 0, 0}};
  }
  return taps;
}

// The same of samples that fill the output: align_corners=False.
inline std::vector<Taps> bilinear_taps(int64_t in, int64_t out) {
  return placed_taps(in, out, 0.0f, static_cast<float>(out));
}

// `outer` reads the first samples of what `inner` makes; both bilinear.
inline std::vector<Taps> compose(const std::vector<Taps>& outer, const std::vector<Taps>& inner) {
  std::vector<Taps> taps(outer.size());
  for (size_t i = 0; i < outer.size(); ++i) {
    const int32_t first = inner[outer[i].index[0]].index[0];
    taps[i] = {{first, first, first, first}, {0, 0, 0, 0}};
    int used = 0;
    for (int a = 0; a < kMaxTaps; ++a) {
      if (outer[i].weight[a] == 0) continue;
      const Taps& source = inner[outer[i].index[a]];
      for (int b = 0; b < kMaxTaps; ++b) {
        if (source.weight[b] == 0) continue;
        const auto end = taps[i].index + used;
        const auto slot = std::find(taps[i].index, end, source.index[b]) - taps[i].index;
        if (slot == used) taps[i].index[used++] = source.index[b];
        taps[i].weight[slot] += outer[i].weight[a] * source.weight[b];
      }
    }
  }
  return taps;
}

}  // namespace lexiseg::ops
