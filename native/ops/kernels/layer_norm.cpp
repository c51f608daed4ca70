#include "ops/kernels/layer_norm.h"

#include "ops/kernels/simd.h"

namespace lexiseg::ops::LEXISEG_ISA {
namespace {

static_assert(kNormStep % kLanes == 0);

template <typename V>
void norm(const LayerNormTask& task, int64_t begin, int64_t end) {
  const int64_t width = task.width;
  const V* weight = static_cast<const V*>(task.weight);
  const V* bias = static_cast<const V*>(task.bias);
  const float share = 1.0f / static_cast<float>(width);
  float row[kMaxNormWidth];
  for (int64_t r = begin; r < end; ++r) {
    const V* x = static_cast<const V*>(task.x) + r * width;
    const V* added = static_cast<const V*>(task.added);
    V* out = static_cast<V*>(task.out) + r * width;
    Floats sum = {}, squares = {};
    if (added == nullptr) {
      for (int64_t i = 0; i < width; i += kLanes) {
        const Floats own = load(x + i);
        store(row + i, own);
        sum += own;
      }
    } else {
      added += r * width;
      for (int64_t i = 0; i < width; i += kLanes) {
        const Floats own = load(x + i) + load(added + i);
        store(row + i, own);
        sum += own;
      }
    }
    const Floats mean = all(sum_of_lanes(sum) * share);
    for (int64_t i = 0; i < width; i += kLanes) {
      const Floats off = load(row + i) - mean;
      squares += off * off;
    }
    const Floats scale = all(1.0f / __builtin_sqrtf(sum_of_lanes(squares) * share + task.eps));
    for (int64_t i = 0; i < width; i += kLanes) {
      store(out + i, (load(row + i) - mean) * scale * load(weight + i) + load(bias + i));
    }
  }
}

template <typename V>
void add_scaled(const AddScaledTask& task, int64_t begin, int64_t end) {
  const int64_t width = task.width;
  const V* scale = static_cast<const V*>(task.scale);
  for (int64_t r = begin; r < end; ++r) {
    const V* residual = static_cast<const V*>(task.residual) + r * width;
    const V* x = static_cast<const V*>(task.x) + r * width;
    V* out = static_cast<V*>(task.out) + r * width;
    for (int64_t i = 0; i < width; i += kLanes) {
      store(out + i, load(residual + i) + load(scale + i) * load(x + i));
    }
  }
}

}  // namespace

extern const LayerNormKernels layer_norm_kernels;
const LayerNormKernels layer_norm_kernels = {norm<float>, norm<BFloat16>, add_scaled<float>,
                                             add_scaled<BFloat16>};

}  // namespace lexiseg::ops::LEXISEG_ISA
