#include "ops/kernels/deformable.h"

#include "ops/kernels/deformable_samples.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

constexpr int kLane = 32;  // elements of a head that stay in registers together

// At most kLane elements of a head.
template <typename V, typename A>
LEXISEG_INLINE void mix(const V* value, int64_t stride, int64_t width, const Samples<A>& s,
                        int64_t count, V* out) {
  A sum[kLane] = {};
  for (int64_t n = 0; n < count; ++n) {
    for (int corner = 0; corner < kCorners; ++corner) {
      if (s.token[corner][n] == kOutside) continue;
      const V* from = value + s.token[corner][n] * stride;
      for (int64_t d = 0; d < width; ++d) sum[d] += s.weight[corner][n] * A(widen(from[d]));
    }
  }
  for (int64_t d = 0; d < width; ++d) narrow(sum[d], out + d);
}

// kLane elements as vectors, in an order that store_lane() undoes.
constexpr int kParts = kLane / kLanes;
LEXISEG_INLINE void load_lane(const float* from, Floats (&parts)[kParts]) {
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) parts[i] = load(from + i * kLanes);
}
LEXISEG_INLINE void store_lane(float* to, const Floats (&parts)[kParts]) {
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) store(to + i * kLanes, parts[i]);
}
// Two elements are a word: its halves become vectors of their own by a shift and a mask, where
// widening in order would move values across the lanes.
LEXISEG_INLINE void load_lane(const BFloat16* from, Floats (&parts)[kParts]) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; i += 2) {
    const Ints words = load_words(from + i * kLanes);
    parts[i] = reinterpret_cast<Floats>(words << 16);
    parts[i + 1] = reinterpret_cast<Floats>(words & kUpperHalf);
  }
}
LEXISEG_INLINE void store_lane(BFloat16* to, const Floats (&parts)[kParts]) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; i += 2) store_words(to + i * kLanes, parts[i], parts[i + 1]);
}

// kLane elements. The corners on the left and those on the right have sums of their own, so that an
// addition need not wait for the one before it.
template <typename V>
LEXISEG_INLINE void mix_lane(const V* value, int64_t stride, const Samples<float>& s, int64_t count,
                             V* out) {
  Floats left[kParts] = {}, right[kParts] = {}, parts[kParts];
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 4
    for (int corner = 0; corner < kCorners; ++corner) {
      if (s.token[corner][n] == kOutside) continue;
      load_lane(value + s.token[corner][n] * stride, parts);
      auto& sum = corner & 1 ? right : left;
#pragma GCC unroll 8
      for (int i = 0; i < kParts; ++i) sum[i] += s.weight[corner][n] * parts[i];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) left[i] += right[i];
  store_lane(out, left);
}
LEXISEG_INLINE void mix_lane(const double* value, int64_t stride, const Samples<double>& s,
                             int64_t count, double* out) {
  mix(value, stride, kLane, s, count, out);
}

template <typename V, typename U, typename A>
void forward(const DeformableInput& in, void* out, int64_t begin, int64_t end) {
  const int64_t queries = in.sizes.queries, width = in.sizes.head_width, count = in.plan->count;
  Points<U> points(in, count);
  Samples<A> s;
  for (int64_t unit = begin; unit < end; ++unit) {
    const Head<V, U> head(in, unit / queries);
    const int64_t q = unit % queries;
    const int64_t point = head.first_point + q * head.point_stride;
    sample(in, static_cast<const A*>(in.reference) + 2 * q, points.logits(point),
           points.offsets(point), s);
    V* to = static_cast<V*>(out) + head.out + q * head.stride;
    int64_t d = 0;
    for (; d + kLane <= width; d += kLane) {
      mix_lane(head.value + d, head.stride, s, count, to + d);
    }
    if (d < width) mix(head.value + d, head.stride, width - d, s, count, to + d);
  }
}

// Of every corner that one query of one head reads: what lies there times the gradient of the
// output.
template <typename A>
struct CornerDots {
  A at[kCorners][kMaxSamplingPoints];
};

// At most kLane elements of a head, whose dots are added to those of the elements before them.
template <typename V, typename A>
LEXISEG_INLINE void unmix(const V* value, int64_t stride, const V* grad, int64_t width,
                          const Samples<A>& s, int64_t count, A* value_grad, CornerDots<A>& dots) {
  A own[kLane];
  for (int64_t d = 0; d < width; ++d) own[d] = widen(grad[d]);
  for (int64_t n = 0; n < count; ++n) {
    for (int corner = 0; corner < kCorners; ++corner) {
      if (s.token[corner][n] == kOutside) continue;
      const int64_t at = s.token[corner][n] * stride;
      const A weight = s.weight[corner][n];
      A dot = 0;
      for (int64_t d = 0; d < width; ++d) dot += own[d] * A(widen(value[at + d]));
      for (int64_t d = 0; d < width; ++d) value_grad[at + d] += weight * own[d];
      dots.at[corner][n] += dot;
    }
  }
}

// kLane elements. A dot is the same in the order of load_lane(); the gradient of the value, which
// lies in order, takes that of the output in order as well.
template <typename V>
LEXISEG_INLINE void unmix_lane(const V* value, int64_t stride, const V* grad,
                               const Samples<float>& s, int64_t count, float* value_grad,
                               CornerDots<float>& dots) {
  Floats own[kParts], in_order[kParts], parts[kParts];
  load_lane(grad, own);
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) in_order[i] = load(grad + i * kLanes);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 4
    for (int corner = 0; corner < kCorners; ++corner) {
      if (s.token[corner][n] == kOutside) continue;
      const int64_t at = s.token[corner][n] * stride;
      load_lane(value + at, parts);
      Floats dot = own[0] * parts[0];
#pragma GCC unroll 8
      for (int i = 1; i < kParts; ++i) dot += own[i] * parts[i];
#pragma GCC unroll 8
      for (int i = 0; i < kParts; ++i) {
        float* to = value_grad + at + i * kLanes;
        store(to, load(to) + s.weight[corner][n] * in_order[i]);
      }
      dots.at[corner][n] += sum_of_lanes(dot);
    }
  }
}
LEXISEG_INLINE void unmix_lane(const double* value, int64_t stride, const double* grad,
                               const Samples<double>& s, int64_t count, double* value_grad,
                               CornerDots<double>& dots) {
  unmix(value, stride, grad, kLane, s, count, value_grad, dots);
}

// Through locate() and softmax(), for one query of one head.
template <typename U, typename A>
LEXISEG_INLINE void store_gradients(const Samples<A>& s, const CornerDots<A>& dots, int64_t count,
                                    U* offsets_grad, U* logits_grad) {
  A own[kMaxSamplingPoints], mean = 0;
  for (int64_t n = 0; n < count; ++n) {
    const A right = s.right[n], bottom = s.bottom[n], attention = s.attention[n];
    const A top_step = dots.at[1][n] - dots.at[0][n], bottom_step = dots.at[3][n] - dots.at[2][n];
    const A top_edge = dots.at[0][n] + right * top_step;
    const A bottom_edge = dots.at[2][n] + right * bottom_step;
    own[n] = top_edge + bottom * (bottom_edge - top_edge);
    mean += attention * own[n];
    narrow(attention * (top_step + bottom * (bottom_step - top_step)), offsets_grad + 2 * n);
    narrow(attention * (bottom_edge - top_edge), offsets_grad + 2 * n + 1);
  }
  for (int64_t n = 0; n < count; ++n) {
    narrow(s.attention[n] * (own[n] - mean), logits_grad + n);
  }
}

template <typename V, typename U, typename A>
void backward(const DeformableInput& in, const DeformableGradient& gradient, int64_t begin,
              int64_t end) {
  const int64_t width = in.sizes.head_width, count = in.plan->count;
  Points<U> points(in, count);
  Samples<A> s;
  CornerDots<A> dots;
  for (int64_t index = begin; index < end; ++index) {
    const Head<V, U> head(in, index);
    A* value_grad =
        static_cast<A*>(gradient.value_grad) + (head.value - static_cast<const V*>(in.value));
    for (int64_t q = 0; q < in.sizes.queries; ++q) {
      const int64_t point = head.first_point + q * head.point_stride;
      sample(in, static_cast<const A*>(in.reference) + 2 * q, points.logits(point),
             points.offsets(point), s);
      for (auto& corner : dots.at) {
        for (int64_t n = 0; n < count; ++n) corner[n] = 0;
      }
      const V* grad = static_cast<const V*>(gradient.grad) + head.out + q * head.stride;
      int64_t d = 0;
      for (; d + kLane <= width; d += kLane) {
        unmix_lane(head.value + d, head.stride, grad + d, s, count, value_grad + d, dots);
      }
      if (d < width) {
        unmix(head.value + d, head.stride, grad + d, width - d, s, count, value_grad + d, dots);
      }
      store_gradients(s, dots, count, static_cast<U*>(gradient.offsets_grad) + 2 * point,
                      static_cast<U*>(gradient.logits_grad) + point);
    }
  }
}

}  // namespace

extern const DeformableKernels deformable_kernels;
const DeformableKernels deformable_kernels = {
    forward<float, float, float>,        forward<BFloat16, float, float>,
    forward<BFloat16, BFloat16, float>,  forward<double, double, double>,
    backward<float, float, float>,       backward<BFloat16, float, float>,
    backward<BFloat16, BFloat16, float>, backward<double, double, double>};

}  // namespace lexiseg::ops::LEXISEG_ISA
