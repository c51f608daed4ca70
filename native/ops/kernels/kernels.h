// The vector kernels, one table of them per instruction set. Plain data in and out: this header and
// the kernels' own files include nothing that defines inline functions (see CMakeLists.txt).
#pragma once

#include <cstdint>

#include "ops/kernels/deformable.h"
#include "ops/kernels/resample.h"

namespace lexiseg::ops {

struct Kernels {
  const char* instruction_set;

  DeformableKernels deformable;
  ResampleKernels resample;
};

// The best table for this processor. ATEN_CPU_CAPABILITY=avx2|default asks for a lesser one, as it
// does for LibTorch itself.
const Kernels& kernels();

}  // namespace lexiseg::ops
