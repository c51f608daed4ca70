#include "ops/kernels/deformable.h"

#include "ops/kernels/exponential.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

constexpr int kCorners = 4;
constexpr int kLane = 32;  // elements of a head that stay in registers together
constexpr int32_t kOutside = -1;

LEXISEG_INLINE float round_down(float x) { return __builtin_floorf(x); }
LEXISEG_INLINE double round_down(double x) { return __builtin_floor(x); }

// The points that one query of one head reads; corners are (top, bottom) x (left, right).
template <typename A>
struct Samples {
  A attention[kMaxSamplingPoints];
  A right[kMaxSamplingPoints], bottom[kMaxSamplingPoints];  // shares of those corners
  int32_t token[kCorners][kMaxSamplingPoints];              // kOutside is a zero

  LEXISEG_INLINE A weight(int corner, int64_t n) const {
    return (corner & 1 ? right[n] : 1 - right[n]) * (corner & 2 ? bottom[n] : 1 - bottom[n]);
  }
};

template <typename A, typename U>
LEXISEG_INLINE void softmax(const U* logits, int64_t count, A* out) {
  A top = widen(logits[0]), total = 0;
  for (int64_t n = 1; n < count; ++n) top = widen(logits[n]) > top ? A(widen(logits[n])) : top;
  for (int64_t n = 0; n < count; ++n) out[n] = exponential(A(widen(logits[n])) - top);
  for (int64_t n = 0; n < count; ++n) total += out[n];
  for (int64_t n = 0; n < count; ++n) out[n] /= total;
}

template <typename A, typename U>
LEXISEG_INLINE void locate(const SamplingPlan& plan, const A* reference, const U* offsets,
                           Samples<A>& s) {
  for (int64_t n = 0; n < plan.count; ++n) {
    const int32_t width = plan.width[n], height = plan.height[n];
    A x = reference[0] * width + A(widen(offsets[2 * n])) - A(0.5);
    A y = reference[1] * height + A(widen(offsets[2 * n + 1])) - A(0.5);
    // False for NaN; the coordinates that are left fit an integer.
    const bool reachable = x > -1 && x < A(width) && y > -1 && y < A(height);
    x = reachable ? x : A(0);
    y = reachable ? y : A(0);
    const A left = round_down(x), top = round_down(y);
    s.right[n] = x - left;
    s.bottom[n] = y - top;
    const auto column = static_cast<int32_t>(left), row = static_cast<int32_t>(top);
    const int32_t first = plan.first_token[n] + row * width + column;
    const bool on_left = reachable && column >= 0, on_right = reachable && column + 1 < width;
    const bool on_top = row >= 0, on_bottom = row + 1 < height;
    s.token[0][n] = on_left && on_top ? first : kOutside;
    s.token[1][n] = on_right && on_top ? first + 1 : kOutside;
    s.token[2][n] = on_left && on_bottom ? first + width : kOutside;
    s.token[3][n] = on_right && on_bottom ? first + width + 1 : kOutside;
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

// kWidth is the number of elements, or 0 when only `width` knows it.
template <int kWidth, typename V, typename A>
LEXISEG_INLINE void mix(const V* value, int64_t stride, int64_t width, const Samples<A>& s,
                        int64_t count, V* out) {
  const int64_t size = kWidth > 0 ? kWidth : width;
  A sum[kLane];
  for (int64_t d = 0; d < size; ++d) sum[d] = 0;
  for (int64_t n = 0; n < count; ++n) {
    for (int corner = 0; corner < kCorners; ++corner) {
      if (s.token[corner][n] == kOutside) continue;
      const V* from = value + s.token[corner][n] * stride;
      const A weight = s.attention[n] * s.weight(corner, n);
      for (int64_t d = 0; d < size; ++d) sum[d] += weight * A(widen(from[d]));
    }
  }
  for (int64_t d = 0; d < size; ++d) narrow(sum[d], out + d);
}

template <typename V, typename U, typename A>
void forward(const DeformableInput& in, void* out, int64_t begin, int64_t end) {
  const int64_t queries = in.sizes.queries, width = in.sizes.head_width;
  Samples<A> s;
  for (int64_t unit = begin; unit < end; ++unit) {
    const Head<V, U> head(in, unit / queries);
    const int64_t q = unit % queries;
    const int64_t point = head.first_point + q * head.point_stride;
    softmax(static_cast<const U*>(in.logits) + point, in.plan->count, s.attention);
    locate(*in.plan, static_cast<const A*>(in.reference) + 2 * q,
           static_cast<const U*>(in.offsets) + 2 * point, s);
    V* to = static_cast<V*>(out) + head.out + q * head.stride;
    int64_t d = 0;
    for (; d + kLane <= width; d += kLane) {
      mix<kLane>(head.value + d, head.stride, kLane, s, in.plan->count, to + d);
    }
    if (d < width) mix<0>(head.value + d, head.stride, width - d, s, in.plan->count, to + d);
  }
}

// Gradients with respect to what locate() and softmax() made, for one query of one head.
template <typename A>
struct SampleGradients {
  A attention[kMaxSamplingPoints], x[kMaxSamplingPoints], y[kMaxSamplingPoints];
};

template <typename V, typename A>
LEXISEG_INLINE void unmix(const V* value, int64_t stride, const A* grad, int64_t width,
                          const Samples<A>& s, int64_t count, A* value_grad,
                          SampleGradients<A>& g) {
  for (int64_t n = 0; n < count; ++n) {
    A dots[kCorners];
    for (int corner = 0; corner < kCorners; ++corner) {
      dots[corner] = 0;
      if (s.token[corner][n] == kOutside) continue;
      const int64_t at = s.token[corner][n] * stride;
      const A weight = s.attention[n] * s.weight(corner, n);
      A dot = 0;
      for (int64_t d = 0; d < width; ++d) dot += grad[d] * A(widen(value[at + d]));
      for (int64_t d = 0; d < width; ++d) value_grad[at + d] += weight * grad[d];
      dots[corner] = dot;
    }
    const A right = s.right[n], bottom = s.bottom[n];
    const A top_edge = (1 - right) * dots[0] + right * dots[1];
    const A bottom_edge = (1 - right) * dots[2] + right * dots[3];
    g.attention[n] = (1 - bottom) * top_edge + bottom * bottom_edge;
    g.x[n] = s.attention[n] * ((1 - bottom) * (dots[1] - dots[0]) + bottom * (dots[3] - dots[2]));
    g.y[n] = s.attention[n] * (bottom_edge - top_edge);
  }
}

template <typename U, typename A>
LEXISEG_INLINE void store_gradients(const Samples<A>& s, const SampleGradients<A>& g, int64_t count,
                                    U* offsets_grad, U* logits_grad) {
  A mean = 0;
  for (int64_t n = 0; n < count; ++n) mean += s.attention[n] * g.attention[n];
  for (int64_t n = 0; n < count; ++n) {
    narrow(s.attention[n] * (g.attention[n] - mean), logits_grad + n);
    narrow(g.x[n], offsets_grad + 2 * n);
    narrow(g.y[n], offsets_grad + 2 * n + 1);
  }
}

// Long heads are walked in pieces, so that the gradient of the output fits an array.
constexpr int64_t kMaxPiece = 256;

template <typename V, typename U, typename A>
void backward(const DeformableInput& in, const DeformableGradient& gradient, int64_t begin,
              int64_t end) {
  const int64_t width = in.sizes.head_width, count = in.plan->count;
  Samples<A> s;
  SampleGradients<A> piece_gradients, g;
  A grad[kMaxPiece];
  for (int64_t index = begin; index < end; ++index) {
    const Head<V, U> head(in, index);
    A* value_grad =
        static_cast<A*>(gradient.value_grad) + (head.value - static_cast<const V*>(in.value));
    for (int64_t q = 0; q < in.sizes.queries; ++q) {
      const int64_t point = head.first_point + q * head.point_stride;
      softmax(static_cast<const U*>(in.logits) + point, count, s.attention);
      locate(*in.plan, static_cast<const A*>(in.reference) + 2 * q,
             static_cast<const U*>(in.offsets) + 2 * point, s);
      for (int64_t n = 0; n < count; ++n) g.attention[n] = g.x[n] = g.y[n] = 0;
      const V* grads = static_cast<const V*>(gradient.grad) + head.out + q * head.stride;
      for (int64_t d = 0; d < width; d += kMaxPiece) {
        const int64_t piece = width - d < kMaxPiece ? width - d : kMaxPiece;
        for (int64_t i = 0; i < piece; ++i) grad[i] = widen(grads[d + i]);
        unmix(head.value + d, head.stride, grad, piece, s, count, value_grad + d, piece_gradients);
        for (int64_t n = 0; n < count; ++n) {
          g.attention[n] += piece_gradients.attention[n];
          g.x[n] += piece_gradients.x[n];
          g.y[n] += piece_gradients.y[n];
        }
      }
      store_gradients(s, g, count, static_cast<U*>(gradient.offsets_grad) + 2 * point,
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
