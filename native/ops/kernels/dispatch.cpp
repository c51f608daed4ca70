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
  if (has_avx512 && has_avx2 && most != "avx2") return avx512::table();
  if (has_avx2) return avx2::table();
#endif
  return baseline::table();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& best = best_table();
  return best;
}

}  // namespace lexiseg::ops
