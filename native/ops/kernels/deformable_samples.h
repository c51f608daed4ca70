// Where the queries of deformable attention look: the points of each head, with their shares.
#pragma once

#include "ops/kernels/deformable.h"
#include "ops/kernels/exponential.h"
#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {

constexpr int kCorners = 4;
constexpr int32_t kOutside = -1;

// What is read of a query of a head, past its points up to whole vectors; unused lanes are
// anything.
constexpr int64_t padded(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }
static_assert(kMaxSamplingPoints % kLanes == 0);

// The points that one query of one head reads; corners are (top, bottom) x (left, right).
template <typename A>
struct Samples {
  A attention[kMaxSamplingPoints];
  A right[kMaxSamplingPoints], bottom[kMaxSamplingPoints];  // shares of those corners
  A weight[kCorners][kMaxSamplingPoints];                   // attention times the corner's share
  int32_t token[kCorners][kMaxSamplingPoints];              // kOutside is a zero
};

LEXISEG_INLINE void softmax(const double* logits, int64_t count, double* out) {
  double top = logits[0], total = 0;
  for (int64_t n = 1; n < count; ++n) top = logits[n] > top ? logits[n] : top;
  for (int64_t n = 0; n < count; ++n) out[n] = exponential(logits[n] - top);
  for (int64_t n = 0; n < count; ++n) total += out[n];
  for (int64_t n = 0; n < count; ++n) out[n] /= total;
}

// As many lanes as are there; the others are `rest`.
LEXISEG_INLINE Floats first_lanes(Floats v, int64_t count, float rest) {
  Ints lane;
  for (int32_t i = 0; i < kLanes; ++i) lane[i] = i;
  return lane < all(static_cast<int32_t>(count)) ? v : all(rest);
}

template <typename U>
LEXISEG_INLINE void softmax(const U* logits, int64_t count, float* out) {
  constexpr float kLowest = -__builtin_inff();
  Floats highest = all(kLowest), sum = {};
  for (int64_t n = 0; n < count; n += kLanes) {
    const Floats own = first_lanes(load(logits + n), count - n, kLowest);
    store(out + n, own);
    highest = larger(own, highest);
  }
  const Floats top = all(largest_lane(highest));
  for (int64_t n = 0; n < count; n += kLanes) {
    const Floats below = load(out + n) - top;
    const Floats weight = below == below ? exponential(below) : below;  // NaN stays NaN
    const Floats own = first_lanes(weight, count - n, 0.0f);
    store(out + n, own);
    sum += own;
  }
  const Floats scale = all(1.0f / sum_of_lanes(sum));
  for (int64_t n = 0; n < count; n += kLanes) store(out + n, load(out + n) * scale);
}

// x and y of `count` pairs, and what lies behind up to whole vectors.
LEXISEG_INLINE void split(const float* pairs, int64_t count, float* x, float* y) {
  for (int64_t n = 0; n < padded(count); ++n) {
    x[n] = pairs[2 * n];
    y[n] = pairs[2 * n + 1];
  }
}
LEXISEG_INLINE void split(const BFloat16* pairs, int64_t count, float* x, float* y) {
  for (int64_t n = 0; n < count; n += kLanes) {
    const Ints words = load_words(pairs + 2 * n);
    store(x + n, reinterpret_cast<Floats>(words << 16));
    store(y + n, reinterpret_cast<Floats>(words & kUpperHalf));
  }
}

LEXISEG_INLINE void locate(const SamplingPlan& plan, const double* reference, const double* offsets,
                           Samples<double>& s) {
  for (int64_t n = 0; n < plan.count; ++n) {
    const int32_t width = plan.width[n], height = plan.height[n];
    double x = reference[0] * width + offsets[2 * n] - 0.5;
    double y = reference[1] * height + offsets[2 * n + 1] - 0.5;
    // False for NaN; the coordinates that are left fit an integer.
    const bool reachable = x > -1 && x < width && y > -1 && y < height;
    x = reachable ? x : 0;
    y = reachable ? y : 0;
    const double left = __builtin_floor(x), top = __builtin_floor(y);
    const double right = s.right[n] = x - left, bottom = s.bottom[n] = y - top;
    const auto column = static_cast<int32_t>(left), row = static_cast<int32_t>(top);
    const int32_t first = plan.first_token[n] + row * width + column;
    const bool on_left = reachable && column >= 0, on_right = reachable && column + 1 < width;
    const bool on_top = row >= 0, on_bottom = row + 1 < height;
    s.token[0][n] = on_left && on_top ? first : kOutside;
    s.token[1][n] = on_right && on_top ? first + 1 : kOutside;
    s.token[2][n] = on_left && on_bottom ? first + width : kOutside;
    s.token[3][n] = on_right && on_bottom ? first + width + 1 : kOutside;
    s.weight[0][n] = s.attention[n] * ((1 - right) * (1 - bottom));
    s.weight[1][n] = s.attention[n] * (right * (1 - bottom));
    s.weight[2][n] = s.attention[n] * ((1 - right) * bottom);
    s.weight[3][n] = s.attention[n] * (right * bottom);
  }
}

LEXISEG_INLINE Ints round_down(Floats x) {
  const Ints cut = __builtin_convertvector(x, Ints);
  // A comparison is -1 where true: where cutting off has rounded up.
  return cut + (x < __builtin_convertvector(cut, Floats));
}

// The same, many points at a time.
template <typename U>
LEXISEG_INLINE void locate(const SamplingPlan& plan, const float* reference, const U* offsets,
                           Samples<float>& s) {
  float offset_x[kMaxSamplingPoints], offset_y[kMaxSamplingPoints];
  split(offsets, plan.count, offset_x, offset_y);
  const Ints outside = all(kOutside);
  for (int64_t n = 0; n < plan.count; n += kLanes) {
    const Ints width = load(plan.width + n), height = load(plan.height + n);
    const Floats wide = __builtin_convertvector(width, Floats);
    const Floats high = __builtin_convertvector(height, Floats);
    Floats x = reference[0] * wide + load(offset_x + n) - 0.5f;
    Floats y = reference[1] * high + load(offset_y + n) - 0.5f;
    // False for NaN; the coordinates that are left fit an integer.
    const Ints reachable = (x > -1.0f) & (x < wide) & (y > -1.0f) & (y < high);
    x = reachable ? x : Floats{};
    y = reachable ? y : Floats{};
    const Ints column = round_down(x), row = round_down(y);
    const Floats right = x - __builtin_convertvector(column, Floats);
    const Floats bottom = y - __builtin_convertvector(row, Floats);
    const Ints first = load(plan.first_token + n) + row * width + column;
    const Ints on_left = reachable & (column >= 0), on_right = reachable & (column + 1 < width);
    const Ints on_top = row >= 0, on_bottom = row + 1 < height;
    store(s.token[0] + n, on_left & on_top ? first : outside);
    store(s.token[1] + n, on_right & on_top ? first + 1 : outside);
    store(s.token[2] + n, on_left & on_bottom ? first + width : outside);
    store(s.token[3] + n, on_right & on_bottom ? first + width + 1 : outside);
    const Floats attention = load(s.attention + n);
    store(s.right + n, right);
    store(s.bottom + n, bottom);
    store(s.weight[0] + n, attention * ((1.0f - right) * (1.0f - bottom)));
    store(s.weight[1] + n, attention * (right * (1.0f - bottom)));
    store(s.weight[2] + n, attention * ((1.0f - right) * bottom));
    store(s.weight[3] + n, attention * (right * bottom));
  }
}

// One head of one image: where its parts start.
template <typename V, typename U>
struct Head {
  const V* value;  // token t at value + t * stride
  int64_t stride;
  int64_t first_point;  // of query 0; query q is at + q * point_stride
  int64_t point_stride;
  int64_t out;  // element of query 0 in [B, Lq, M * Dh]; query q is at + q * stride

  Head(const DeformableInput& in, int64_t index) {
    const int64_t b = index / in.sizes.heads, m = index % in.sizes.heads;
    stride = in.sizes.heads * in.sizes.head_width;
    value =
        static_cast<const V*>(in.value) + b * in.sizes.tokens * stride + m * in.sizes.head_width;
    point_stride = in.sizes.heads * in.plan->count;
    first_point = b * in.sizes.queries * point_stride + m * in.plan->count;
    out = b * in.sizes.queries * stride + m * in.sizes.head_width;
  }
};

// Offsets and logits of a query of a head, with room behind them for whole vectors.
template <typename U>
class Points {
 public:
  Points(const DeformableInput& in, int64_t count)
      : offsets_(static_cast<const U*>(in.offsets)),
        logits_(static_cast<const U*>(in.logits)),
        count_(count),
        total_(in.batch * in.sizes.queries * in.sizes.heads * count) {}

  const U* offsets(int64_t point) { return behind(offsets_ + 2 * point, point, 2, own_offsets_); }
  const U* logits(int64_t point) { return behind(logits_ + point, point, 1, own_logits_); }

 private:
  // The last of the tensor are copied: nothing readable is behind them.
  LEXISEG_INLINE const U* behind(const U* from, int64_t point, int64_t each, U* copy) {
    if (point + padded(count_) <= total_) return from;
    for (int64_t i = 0; i < each * count_; ++i) copy[i] = from[i];
    return copy;
  }

  const U* offsets_;
  const U* logits_;
  int64_t count_, total_;
  U own_offsets_[2 * kMaxSamplingPoints] = {}, own_logits_[kMaxSamplingPoints] = {};
};

// Apart from its eight callers: a call is little beside it, and in each of them it would compile
// for a third longer.
template <typename U, typename A>
__attribute__((noinline)) void sample(const DeformableInput& in, const A* reference,
                                      const U* logits, const U* offsets, Samples<A>& s) {
  softmax(logits, in.plan->count, s.attention);
  locate(*in.plan, reference, offsets, s);
}

}  // namespace lexiseg::ops::LEXISEG_ISA
