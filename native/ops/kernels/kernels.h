// The vector kernels, one table of them per instruction set. Plain data in and out: this header and
// the kernels' own files include nothing that defines inline functions (see CMakeLists.txt).
#pragma once

#include <cstdint>

#include "ops/kernels/activation.h"
#include "ops/kernels/attention.h"
#include "ops/kernels/class_scores.h"
#include "ops/kernels/deformable.h"
#include "ops/kernels/depthwise.h"
#include "ops/kernels/layer_norm.h"
#include "ops/kernels/mask_pooling.h"
#include "ops/kernels/tile.h"

namespace lexiseg::ops {

struct Kernels {
  const char* instruction_set;
  int64_t lanes;  // floats of a vector

  DeformableKernels deformable;
  TileKernels tile;
  ClassScoreKernels class_score;
  PoolingKernels pooling;
  ActivationKernels activation;
  LayerNormKernels layer_norm;
  AttentionKernels attention;
  DepthwiseKernels depthwise;
};

// The best table for this processor. ATEN_CPU_CAPABILITY=avx512|avx2|default asks for a lesser one,
// as it does for LibTorch itself.
const Kernels& kernels();

// Whether the processor multiplies tiles of bfloat16 (AMX), as only LibTorch's own kernels do.
bool has_matrix_unit();

}  // namespace lexiseg::ops
