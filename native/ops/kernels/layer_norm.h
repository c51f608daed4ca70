// Layer norm, and what is added around it, on plain arrays of rows.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

// Widths are multiples of the first and at most the second.
inline constexpr int64_t kNormStep = 16;
inline constexpr int64_t kMaxNormWidth = 8192;

// out = norm(x + added) * weight + bias. All of one type; nothing overlaps.
struct LayerNormTask {
  const void* x;       // [rows, width]
  const void* added;   // [rows, width], or null
  const void* weight;  // [width]
  const void* bias;    // [width]
  void* out;           // [rows, width]
  int64_t width;
  float eps;
};

// out = residual + scale * x. All of one type; nothing overlaps.
struct AddScaledTask {
  const void* residual;  // [rows, width]
  const void* x;         // [rows, width]
  const void* scale;     // [width]
  void* out;             // [rows, width]
  int64_t width;
};

// For rows begin to end.
using LayerNormKernel = void(const LayerNormTask&, int64_t begin, int64_t end);
using AddScaledKernel = void(const AddScaledTask&, int64_t begin, int64_t end);

struct LayerNormKernels {
  LayerNormKernel *norm_float, *norm_bfloat16;
  AddScaledKernel *add_float, *add_bfloat16;
};

}  // namespace lexiseg::ops
