// What this process may use of the machine: processors, instruction sets, memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lexiseg {

// Processors this process may use: affinity and the CPU quota of its cgroups (v1 and v2), at
// least 1.
int available_threads();

// Those of avx2, avx512f, avx512_bf16, amx_bf16 that processor and operating system offer.
std::vector<std::string> cpu_features();

// Whether bfloat16 products run on instructions of their own, so that bfloat16 is the faster dtype.
bool cpu_multiplies_bfloat16();

struct ResidentMemory {
  int64_t now;   // bytes
  int64_t peak;  // bytes
};
ResidentMemory resident_memory();

}  // namespace lexiseg
