#include <cstdlib>
#include <string_view>

#include "ops/kernels/kernels.h"

namespace lexiseg::ops {

namespace baseline {
const Kernels& table();
}
#ifdef LEXISEG_X86_KERNELS
namespace avx2 {
const Kernels& table();
}
namespace avx512 {
const Kernels& table();
}
namespace avx512bf16 {
const Kernels& table();
}
#endif

namespace {

const Kernels& best_table() {
#ifdef LEXISEG_X86_KERNELS
  const char* asked = std::getenv("ATEN_CPU_CAPABILITY");
  const std::string_view most = asked ? asked : "";
  if (most == "default") return baseline::table();
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("f16c");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (has_avx512 && has_avx2 && most != "avx2") {
    const bool has_bf16 = __builtin_cpu_supports("avx512bf16") && most != "avx512";
    return has_bf16 ? avx512bf16::table() : avx512::table();
  }
  if (has_avx2) return avx2::table();
#endif
  return baseline::table();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& best = best_table();
  return best;
}

bool has_matrix_unit() {
#ifdef LEXISEG_X86_KERNELS
  static const bool present = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("amx-bf16") != 0;
  }();
  return present;
#else
  return false;
#endif
}

}  // namespace lexiseg::ops
