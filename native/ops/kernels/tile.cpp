#include "ops/kernels/tile.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

// Finite, and losing where it is not a number.
LEXISEG_INLINE Floats tamed(Floats v) { return smaller(larger(v, all(-kCertain)), all(kCertain)); }
LEXISEG_INLINE float tamed(float v) {
  v = v > -kCertain ? v : -kCertain;
  return v < kCertain ? v : kCertain;
}

LEXISEG_INLINE float least_of(Floats v) {
  float result = v[0];
  for (int i = 1; i < kLanes; ++i) result = v[i] < result ? v[i] : result;
  return result;
}
LEXISEG_INLINE float most_of(Floats v) {
  float result = v[0];
  for (int i = 1; i < kLanes; ++i) result = v[i] > result ? v[i] : result;
  return result;
}
LEXISEG_INLINE float sum_of(Floats v) {
  float result = 0;
  for (int i = 0; i < kLanes; ++i) result += v[i];
  return result;
}

void range(const float* plane, int64_t stride, int64_t rows, int64_t columns, float* least,
           float* most) {
  float low = kCertain, high = -kCertain;
  if (columns >= kLanes) {
    Floats lows = all(kCertain), highs = all(-kCertain);
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = plane + r * stride;
      for (int64_t c = 0; c < columns; c += kLanes) {
        // The last vector overlaps the one before it.
        const Floats v = tamed(load(row + (c + kLanes <= columns ? c : columns - kLanes)));
        lows = smaller(v, lows);
        highs = larger(v, highs);
      }
    }
    low = least_of(lows);
    high = most_of(highs);
  } else {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        const float v = tamed(plane[r * stride + c]);
        low = v < low ? v : low;
        high = v > high ? v : high;
      }
    }
  }
  *least = low;
  *most = high;
}

void blend(const float* plane, int64_t plane_stride, const Taps* taps, int64_t span,
           const BlendedRows& out, float* samples) {
  for (int64_t r = 0; r < out.rows; ++r) {
    const Taps& tap = taps[r];
    float* to = samples + r * out.stride;
    const float* rows[kMaxTaps];
    float weights[kMaxTaps];
    int count = 0;
    for (int t = 0; t < kMaxTaps; ++t) {
      if (tap.weight[t] == 0 && count > 0) continue;
      rows[count] = plane + tap.index[t] * plane_stride;
      weights[count++] = tap.weight[t];
    }
    if (span < kLanes) {
      for (int64_t c = 0; c < span; ++c) {
        float sum = 0;
        for (int t = 0; t < count; ++t) sum += weights[t] * tamed(rows[t][c]);
        to[c] = sum;
      }
      continue;
    }
    for (int64_t c = 0; c < span; c += kLanes) {
      const int64_t at = c + kLanes <= span ? c : span - kLanes;
      Floats sum = weights[0] * tamed(load(rows[0] + at));
      for (int t = 1; t < count; ++t) sum += weights[t] * tamed(load(rows[t] + at));
      store(to + at, sum);
    }
  }
}

// Calls see(row, group, logits) for every vector of the tile. Groups are outermost, so that their
// taps stay in registers.
template <bool window, int kTaps, typename See>
LEXISEG_INLINE void visit_group(const ColumnBlock& block, const BlendedRows& rows, int64_t g,
                                const See& see) {
  const int64_t taps = kTaps > 0 ? kTaps : block.taps;
  Ints index[kMaxTaps];
  Floats weight[kMaxTaps];
  for (int64_t t = 0; t < taps; ++t) {
    index[t] = load(block.index + (g * taps + t) * kLanes);
    weight[t] = load(block.weight + (g * taps + t) * kLanes);
  }
  const float* from = rows.samples + (window ? block.base[g] : 0);
  for (int64_t r = 0; r < rows.rows; ++r, from += rows.stride) {
    Floats sum = weight[0] * gather<window>(from, index[0]);
    for (int64_t t = 1; t < taps; ++t) sum += weight[t] * gather<window>(from, index[t]);
    see(r, g, sum);
  }
}

template <typename See>
LEXISEG_INLINE void visit(const ColumnBlock& block, const BlendedRows& rows, const See& see) {
  for (int64_t g = 0; g < block.groups; ++g) {
    if (block.base[g] < 0) {
      visit_group<false, 0>(block, rows, g, see);
    } else if (block.taps == 2) {
      visit_group<true, 2>(block, rows, g, see);
    } else if (block.taps == 3) {
      visit_group<true, 3>(block, rows, g, see);
    } else {
      visit_group<true, 0>(block, rows, g, see);
    }
  }
}

void expand(const ColumnBlock& block, const BlendedRows& rows, bool to_probability,
            const TileLayout& layout, float* out) {
  const auto place = [&](int64_t r, int64_t g) {
    return out + r * layout.row + (g / 2) * layout.pair + (g % 2) * kLanes;
  };
  if (to_probability) {
    visit(block, rows, [&](int64_t r, int64_t g, Floats v) { store(place(r, g), sigmoid(v)); });
  } else {
    visit(block, rows, [&](int64_t r, int64_t g, Floats v) { store(place(r, g), v); });
  }
}

void sigmoid_all(float* values, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(values + i, sigmoid(load(values + i)));
  for (; i < count; ++i) values[i] = sigmoid(all(values[i]))[0];
}

// A bit for each column of group g that the output has.
LEXISEG_INLINE uint32_t existing(const ColumnBlock& block, int64_t g) {
  const int64_t left = block.columns - g * kLanes;
  if (left >= kLanes) return static_cast<uint32_t>((uint64_t{1} << kLanes) - 1);
  return left <= 0 ? 0 : (uint32_t{1} << left) - 1;
}

int64_t cover(const ColumnBlock& block, const BlendedRows& rows) {
  int64_t covered = 0;
  visit(block, rows, [&](int64_t, int64_t g, Floats logits) {
    covered += __builtin_popcount(bits(logits >= 0.0f) & existing(block, g));
  });
  return covered;
}

int64_t compete(const ColumnBlock& block, const BlendedRows& rows, const Contestant& contestant,
                const Leaders& leaders, float* least) {
  const float score = contestant.score;
  // What rounding may add to a product below.
  const float generous = score + 4e-6f * (score < 0 ? -score : score);
  const int32_t entry = contestant.query * 2;
  const int64_t width = block.groups * kLanes;
  int64_t covered = 0;
  Floats lows = all(__builtin_huge_valf());
  visit(block, rows, [&](int64_t r, int64_t g, Floats logits) {
    const Ints covers = logits >= 0.0f;
    covered += __builtin_popcount(bits(covers) & existing(block, g));
    float* best = leaders.best + r * width + g * kLanes;
    Floats leading = load(best);
    const Floats divisor = 1.0f + exponential(-logits);
    // score / divisor >= leading, without the division where it cannot be.
    if (bits(generous >= leading * divisor) != 0) {
      int32_t* winner = leaders.winner + r * width + g * kLanes;
      const Ints holder = load(winner);
      const Floats value = score / divisor;
      const Ints wins = (value > leading) | ((value == leading) & (entry < (holder & ~1)));
      leading = wins ? value : leading;
      store(best, leading);
      store(winner, wins ? entry - covers : holder);
    }
    lows = smaller(leading, lows);
  });
  *least = least_of(lows);
  return covered;
}

float trace(const ColumnBlock& block, const BlendedRows& rows, uint64_t* words,
            int64_t word_stride) {
  for (int64_t r = 0; r < rows.rows; ++r) words[r * word_stride] = 0;
  Floats total{};
  visit(block, rows, [&](int64_t r, int64_t g, Floats logits) {
    const uint32_t real = existing(block, g);
    const Ints positive = logits > 0.0f;
    const uint64_t inside = bits(positive) & real;
    if (inside == 0) return;
    words[r * word_stride] |= inside << (g * kLanes);
    Floats probability = positive ? sigmoid(logits) : Floats{};
    if (real + 1 != (uint64_t{1} << kLanes)) {
      for (int i = 0; i < kLanes; ++i) {
        if ((real >> i & 1) == 0) probability[i] = 0;
      }
    }
    total += probability;
  });
  return sum_of(total);
}

}  // namespace

extern const TileKernels tile_kernels;
const TileKernels tile_kernels = {range, blend, expand, sigmoid_all, cover, compete, trace};

}  // namespace lexiseg::ops::LEXISEG_ISA
