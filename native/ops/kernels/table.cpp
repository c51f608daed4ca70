#include "ops/kernels/kernels.h"
#include "ops/kernels/simd.h"

#define LEXISEG_TEXT_OF(name) #name
#define LEXISEG_TEXT(name) LEXISEG_TEXT_OF(name)

namespace lexiseg::ops::LEXISEG_ISA {

extern const DeformableKernels deformable_kernels;
extern const TileKernels tile_kernels;
extern const ClassScoreKernels class_score_kernels;
extern const PoolingKernels pooling_kernels;
extern const ActivationKernels activation_kernels;
extern const LayerNormKernels layer_norm_kernels;
extern const AttentionKernels attention_kernels;
extern const DepthwiseKernels depthwise_kernels;

const Kernels& table();
const Kernels& table() {
  static const Kernels kernels{
      LEXISEG_TEXT(LEXISEG_ISA), kLanes,           deformable_kernels, tile_kernels,
      class_score_kernels,       pooling_kernels,  activation_kernels, layer_norm_kernels,
      attention_kernels,         depthwise_kernels};
  return kernels;
}

}  // namespace lexiseg::ops::LEXISEG_ISA
