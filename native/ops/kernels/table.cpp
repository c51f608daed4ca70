#include "ops/kernels/kernels.h"

#define LEXISEG_TEXT_OF(name) #name
#define LEXISEG_TEXT(name) LEXISEG_TEXT_OF(name)

namespace lexiseg::ops::LEXISEG_ISA {

extern const DeformableKernels deformable_kernels;
extern const ResampleKernels resample_kernels;

const Kernels& table();
const Kernels& table() {
  static const Kernels kernels{LEXISEG_TEXT(LEXISEG_ISA), deformable_kernels, resample_kernels};
  return kernels;
}

}  // namespace lexiseg::ops::LEXISEG_ISA
