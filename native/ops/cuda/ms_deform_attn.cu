// Multi-scale deformable attention (Deformable DETR, sec. 4.1) on CUDA, forward and backward.
#include "ops/cuda/ms_deform_attn.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/util/BFloat16.h>

#include <limits>

#include "ops/cuda/launch.cuh"

namespace lexiseg::ops::cuda {
namespace {

constexpr int kMaxLevels = 16;

// Sizes of one call; passed to the kernels by value.
struct Shape {
  int64_t batch, positions, heads, channels, queries;
  int64_t items;  // batch * queries * heads
  int levels, points;
  int height[kMaxLevels], width[kMaxLevels];
  int64_t start[kMaxLevels];  // first position of a level among the S positions
};

// Where a sampling point falls: the top-left of its four neighbours and the way to the next ones.
template <typename Acc>
struct Footprint {
  bool inside;  // whether any neighbour can be on the map
  int x, y;
  Acc right, down;  // in [0, 1)
};

// reference is normalised to [0, 1]; offset is in pixels of the level; pixel centres are at k +
// 0.5.
template <typename Acc>
__device__ Footprint<Acc> locate(const Acc* reference, const Acc* offset, int width, int height) {
  const Acc x = reference[0] * width + offset[0] - Acc(0.5);
  const Acc y = reference[1] * height + offset[1] - Acc(0.5);
  // Written so that NaN is outside; the conversions to int are safe only after it.
  if (!(x > -1 && y > -1 && x < width && y < height)) return {false, 0, 0, Acc(0), Acc(0)};
  const Acc left = floor(x), top = floor(y);
  return {true, static_cast<int>(left), static_cast<int>(top), x - left, y - top};
}

template <typename Value, int kPack>
struct alignas(sizeof(Value) * kPack) Pack {
  Value values[kPack];
};

template <typename Acc>
__device__ Acc largest_logit(const Acc* logits, int count) {
  Acc largest = logits[0];
  for (int k = 1; k < count; ++k) largest = logits[k] > largest ? logits[k] : largest;
  return largest;
}

// One thread makes kPack neighbouring channels of one (image, query, head).
template <typename Value, typename Acc, int kPack>
__global__ void __launch_bounds__(kThreads)
    attend(Shape shape, const Value* __restrict__ value, const Acc* __restrict__ reference_points,
           const Acc* __restrict__ offsets, const Acc* __restrict__ logits,
           Value* __restrict__ out) {
  const int64_t packs = shape.channels / kPack;
  const int64_t total = shape.items * packs;
  const int samples = shape.levels * shape.points;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += step) {
    const int64_t item = i / packs;
    const int64_t head = item % shape.heads;
    const int64_t query = item / shape.heads % shape.queries;
    const int64_t image = item / shape.heads / shape.queries;
    const Acc* item_offsets = offsets + item * samples * 2;
    const Acc* item_logits = logits + item * samples;
    const int64_t position_step = shape.heads * shape.channels;
    const Value* channels =
        value + image * shape.positions * position_step + head * shape.channels + i % packs * kPack;
    const Acc largest = largest_logit(item_logits, samples);
    Acc normaliser = 0;
    Acc sum[kPack] = {};
    for (int level = 0, k = 0; level < shape.levels; ++level) {
      const int width = shape.width[level], height = shape.height[level];
      const Value* map = channels + shape.start[level] * position_step;
      for (int point = 0; point < shape.points; ++point, ++k) {
        const Acc weight = exp(item_logits[k] - largest);
        normaliser += weight;
        const auto at = locate(reference_points + query * 2, item_offsets + k * 2, width, height);
        if (!at.inside) continue;
#pragma unroll
        for (int corner = 0; corner < 4; ++corner) {
          const int x = at.x + (corner & 1), y = at.y + (corner >> 1);
          if (x < 0 || y < 0 || x >= width || y >= height) continue;
          const Acc share = weight * (corner & 1 ? at.right : 1 - at.right) *
                            (corner >> 1 ? at.down : 1 - at.down);
          const auto pack = *reinterpret_cast<const Pack<Value, kPack>*>(
              map + (int64_t{y} * width + x) * position_step);
#pragma unroll
          for (int c = 0; c < kPack; ++c) sum[c] += share * static_cast<Acc>(pack.values[c]);
        }
      }
    }
    Pack<Value, kPack> result;
#pragma unroll
    for (int c = 0; c < kPack; ++c) result.values[c] = static_cast<Value>(sum[c] / normaliser);
    *reinterpret_cast<Pack<Value, kPack>*>(out + i * kPack) = result;
  }
}

template <typename Acc>
__device__ Acc warp_sum(Acc x) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    x += __shfl_xor_sync(kFullWarp, x, distance);
  }
  return x;
}

// The derivatives of <grad, sample> over one lane's channels, for one sampling point.
template <typename Acc>
struct PointGradient {
  Acc weight, x, y;
};

// One warp handles one (image, query, head); its lanes share the channels. A neighbour of several
// points gets several contributions, so grad_value is added to atomically.
template <typename Value, typename Acc>
__global__ void __launch_bounds__(kThreads)
    attend_backward(Shape shape, const Value* __restrict__ grad, const Value* __restrict__ value,
                    const Acc* __restrict__ reference_points, const Acc* __restrict__ offsets,
                    const Acc* __restrict__ logits, Acc* __restrict__ grad_value,
                    Acc* __restrict__ grad_offsets, Acc* __restrict__ grad_logits) {
  const int lane = threadIdx.x % kWarp;
  const int samples = shape.levels * shape.points;
  const int64_t position_step = shape.heads * shape.channels;
  const int64_t step = int64_t{gridDim.x} * blockDim.x / kWarp;
  const int64_t first = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarp;
  for (int64_t item = first; item < shape.items; item += step) {
    const int64_t head = item % shape.heads;
    const int64_t query = item / shape.heads % shape.queries;
    const int64_t image = item / shape.heads / shape.queries;
    const Acc* item_logits = logits + item * samples;
    const Value* item_grad = grad + item * shape.channels;
    const Acc largest = largest_logit(item_logits, samples);
    Acc normaliser = 0;
    for (int k = 0; k < samples; ++k) normaliser += exp(item_logits[k] - largest);
    Acc mean_weight_gradient = 0;
    for (int level = 0, k = 0; level < shape.levels; ++level) {
      const int width = shape.width[level], height = shape.height[level];
      const int64_t map =
          (image * shape.positions + shape.start[level]) * position_step + head * shape.channels;
      for (int point = 0; point < shape.points; ++point, ++k) {
        const Acc weight = exp(item_logits[k] - largest) / normaliser;
        const auto at =
            locate(reference_points + query * 2, offsets + (item * samples + k) * 2, width, height);
        PointGradient<Acc> sum{0, 0, 0};
        for (int64_t c = lane; at.inside && c < shape.channels; c += kWarp) {
          const Acc g = static_cast<Acc>(item_grad[c]);
#pragma unroll
          for (int corner = 0; corner < 4; ++corner) {
            const int x = at.x + (corner & 1), y = at.y + (corner >> 1);
            if (x < 0 || y < 0 || x >= width || y >= height) continue;
            const Acc across = corner & 1 ? at.right : 1 - at.right;
            const Acc along = corner >> 1 ? at.down : 1 - at.down;
            const int64_t index = map + (int64_t{y} * width + x) * position_step + c;
            const Acc product = g * static_cast<Acc>(value[index]);
            sum.weight += across * along * product;
            sum.x += (corner & 1 ? along : -along) * product;
            sum.y += (corner >> 1 ? across : -across) * product;
            atomicAdd(grad_value + index, weight * across * along * g);
          }
        }
        sum = {warp_sum(sum.weight), warp_sum(sum.x), warp_sum(sum.y)};
        mean_weight_gradient += weight * sum.weight;
        if (lane == 0) {
          grad_offsets[(item * samples + k) * 2] = weight * sum.x;
          grad_offsets[(item * samples + k) * 2 + 1] = weight * sum.y;
          // The softmax needs the mean of all points, so this is finished below.
          grad_logits[item * samples + k] = sum.weight;
        }
      }
    }
    __syncwarp();
    for (int k = lane; k < samples; k += kWarp) {
      Acc& gradient = grad_logits[item * samples + k];
      gradient = exp(item_logits[k] - largest) / normaliser * (gradient - mean_weight_gradient);
    }
  }
}

bool aligned(const void* pointer, size_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

struct Inputs {
  Shape shape;
  at::Tensor value, reference_points, offsets, logits;  // contiguous; all but value in Acc
};

Shape shape_of(const DeformableAttention& a) {
  TORCH_CHECK(a.value.dim() == 4, "Expected [B, S, M, Dh] for value but received ",
              a.value.sizes());
  TORCH_CHECK(a.sampling_offsets.dim() == 6,
              "Expected [B, Lq, M, L, P, 2] for sampling_offsets but received ",
              a.sampling_offsets.sizes());
  const auto levels = static_cast<int64_t>(a.spatial_shapes.size()) / 2;
  TORCH_CHECK(a.spatial_shapes.size() % 2 == 0 && levels >= 1 && levels <= kMaxLevels,
              "Expected the heights and widths of 1 to ", kMaxLevels,
              " levels for spatial_shapes but received ", a.spatial_shapes);
  const int64_t queries = a.sampling_offsets.size(1), points = a.sampling_offsets.size(4);
  Shape s{};
  s.batch = a.value.size(0), s.positions = a.value.size(1), s.heads = a.value.size(2);
  s.channels = a.value.size(3), s.queries = queries, s.items = s.batch * queries * s.heads;
  s.levels = static_cast<int>(levels), s.points = static_cast<int>(points);
  int64_t start = 0;
  for (int level = 0; level < s.levels; ++level) {
    const int64_t height = a.spatial_shapes[level * 2], width = a.spatial_shapes[level * 2 + 1];
    constexpr int64_t kMaxSide = std::numeric_limits<int>::max() / 2;
    TORCH_CHECK(height >= 1 && width >= 1 && height <= kMaxSide && width <= kMaxSide,
                "Expected positive sizes for spatial_shapes but received ", a.spatial_shapes);
    s.height[level] = static_cast<int>(height), s.width[level] = static_cast<int>(width);
    s.start[level] = start;
    start += height * width;
  }
  TORCH_CHECK(start == s.positions, "Expected ", start,
              " positions (the sum over spatial_shapes) for value but received ", s.positions);
  const std::vector<int64_t> offset_sizes{s.batch, queries, s.heads, levels, points, 2};
  TORCH_CHECK(points >= 1 && a.sampling_offsets.sizes() == at::IntArrayRef(offset_sizes),
              "Expected ", at::IntArrayRef(offset_sizes), " for sampling_offsets but received ",
              a.sampling_offsets.sizes());
  const std::vector<int64_t> logit_sizes{s.batch, queries, s.heads, levels * points};
  TORCH_CHECK(a.attention_logits.sizes() == at::IntArrayRef(logit_sizes), "Expected ",
              at::IntArrayRef(logit_sizes), " for attention_logits but received ",
              a.attention_logits.sizes());
  const std::vector<int64_t> reference_sizes{queries, 2};
  TORCH_CHECK(a.reference_points.sizes() == at::IntArrayRef(reference_sizes), "Expected ",
              at::IntArrayRef(reference_sizes), " for reference_points but received ",
              a.reference_points.sizes());
  return s;
}

Inputs prepare(const DeformableAttention& a) {
  const auto dtype = a.value.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kDouble,
              "Expected float32, bfloat16 or float64 for value but received ", dtype);
  check_device(a.value, "value");
  for (const auto* other : {&a.reference_points, &a.sampling_offsets, &a.attention_logits}) {
    TORCH_CHECK(other->device() == a.value.device() && other->is_floating_point(),
                "Expected floating-point arguments on ", a.value.device(), " but received ",
                other->scalar_type(), " on ", other->device());
  }
  const auto accumulated = dtype == at::kDouble ? at::kDouble : at::kFloat;
  return {shape_of(a), a.value.contiguous(), a.reference_points.to(accumulated).contiguous(),
          a.sampling_offsets.to(accumulated).contiguous(),
          a.attention_logits.to(accumulated).contiguous()};
}

template <typename Value, typename Acc>
void run_forward(const Inputs& in, const at::Tensor& out) {
  constexpr int kWide = 16 / sizeof(Value);
  const auto* value = in.value.const_data_ptr<Value>();
  auto* result = out.mutable_data_ptr<Value>();
  const bool wide = in.shape.channels % kWide == 0 && aligned(value, 16) && aligned(result, 16);
  launch(wide ? attend<Value, Acc, kWide> : attend<Value, Acc, 1>,
         blocks_for(out.numel() / (wide ? kWide : 1)), kThreads, in.shape, value,
         in.reference_points.const_data_ptr<Acc>(), in.offsets.const_data_ptr<Acc>(),
         in.logits.const_data_ptr<Acc>(), result);
}

template <typename Value, typename Acc>
void run_backward(const Inputs& in, const at::Tensor& grad, const DeformableGradients& out) {
  launch(attend_backward<Value, Acc>, blocks_for(in.shape.items * kWarp), kThreads, in.shape,
         grad.const_data_ptr<Value>(), in.value.const_data_ptr<Value>(),
         in.reference_points.const_data_ptr<Acc>(), in.offsets.const_data_ptr<Acc>(),
         in.logits.const_data_ptr<Acc>(), out.value.mutable_data_ptr<Acc>(),
         out.sampling_offsets.mutable_data_ptr<Acc>(),
         out.attention_logits.mutable_data_ptr<Acc>());
}

}  // namespace

at::Tensor ms_deform_attn(const DeformableAttention& arguments) {
  const Inputs in = prepare(arguments);
  const DeviceGuard guard(in.value.device());
  const Shape& s = in.shape;
  auto out = at::empty({s.batch, s.queries, s.heads * s.channels}, in.value.options());
  if (out.numel() == 0) return out;
  switch (in.value.scalar_type()) {
    case at::kDouble:
      run_forward<double, double>(in, out);
      break;
    case at::kBFloat16:
      run_forward<c10::BFloat16, float>(in, out);
      break;
    default:
      run_forward<float, float>(in, out);
  }
  return out;
}

DeformableGradients ms_deform_attn_backward(const at::Tensor& grad,
                                            const DeformableAttention& arguments) {
  at::globalContext().alertNotDeterministic("lexiseg::ms_deform_attn_backward on CUDA");
  const Inputs in = prepare(arguments);
  const DeviceGuard guard(in.value.device());
  const Shape& s = in.shape;
  const std::vector<int64_t> grad_sizes{s.batch, s.queries, s.heads * s.channels};
  TORCH_CHECK(grad.sizes() == at::IntArrayRef(grad_sizes) && grad.device() == in.value.device(),
              "Expected ", at::IntArrayRef(grad_sizes), " on ", in.value.device(),
              " for grad but received ", grad.sizes(), " on ", grad.device());
  const auto grad_out = grad.to(in.value.scalar_type()).contiguous();
  DeformableGradients out{at::zeros(in.value.sizes(), in.offsets.options()),
                          at::zeros(in.offsets.sizes(), in.offsets.options()),
                          at::zeros(in.logits.sizes(), in.logits.options())};
  if (grad_out.numel() > 0) {
    switch (in.value.scalar_type()) {
      case at::kDouble:
        run_backward<double, double>(in, grad_out, out);
        break;
      case at::kBFloat16:
        run_backward<c10::BFloat16, float>(in, grad_out, out);
        break;
      default:
        run_backward<float, float>(in, grad_out, out);
    }
  }
  return {out.value.to(arguments.value.scalar_type()),
          out.sampling_offsets.to(arguments.sampling_offsets.scalar_type()),
          out.attention_logits.to(arguments.attention_logits.scalar_type())};
}

}  // namespace lexiseg::ops::cuda
