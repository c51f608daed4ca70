#include "core/processor.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lexiseg {
namespace {

int affinity_count() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask);
  // More processors than cpu_set_t holds.
  return static_cast<int>(std::thread::hardware_concurrency());
}

// Processors granted by one cgroup folder, or infinity.
double quota_of(const std::string& folder) {
  double quota = -1;
  double period = 0;
  if (std::ifstream v2(folder + "/cpu.max"); v2) {
    std::string word;
    if (v2 >> word >> period && word != "max") quota = std::strtod(word.c_str(), nullptr);
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

// The least quota on the way from a cgroup up to the root of its hierarchy.
double quota_along(const std::string& root, std::string group) {
  double least = INFINITY;
  while (true) {
    least = std::min(least, quota_of(root + group));
    const size_t slash = group.rfind('/');
    if (group.empty() || slash == std::string::npos) return least;
    group.resize(slash);
  }
}

double cgroup_quota() {
  double least = INFINITY;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    std::istringstream fields(line);
    std::string number, controllers, group;
    std::getline(fields, number, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, group);
    if (group == "/") group.clear();
    if (controllers.empty()) {
      least = std::min(least, quota_along("/sys/fs/cgroup", group));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      least = std::min(least, quota_along("/sys/fs/cgroup/cpu", group));
      // In a container the path of the host is listed, while its own group is mounted as the root.
      least = std::min(least, quota_of("/sys/fs/cgroup/cpu"));
    }
  }
  return least;
}

#if defined(__x86_64__)
uint64_t enabled_states() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

struct Features {
  bool avx2 = false, avx512f = false, avx512_bf16 = false, amx_bf16 = false;
};

Features detect_features() {
  Features found;
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kOsxsave = 1u << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsxsave) == 0) return found;
  const uint64_t states = enabled_states();
  const bool ymm = (states & 0x6) == 0x6;
  const bool zmm = (states & 0xe6) == 0xe6;
  const bool tiles = (states & 0x60000) == 0x60000;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return found;
  found.avx2 = ymm && (b & 1u << 5) != 0;
  found.avx512f = zmm && (b & 1u << 16) != 0;
  found.amx_bf16 = tiles && (d & 1u << 22) != 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) {
    found.avx512_bf16 = found.avx512f && (a & 1u << 5) != 0;
  }
  return found;
}
#else
struct Features {
  bool avx2 = false, avx512f = false, avx512_bf16 = false, amx_bf16 = false;
};
Features detect_features() { return {}; }
#endif

const Features& features() {
  static const Features found = detect_features();
  return found;
}

}  // namespace

int available_threads() {
  const double quota = cgroup_quota();
  const int allowed = std::isfinite(quota) ? static_cast<int>(std::ceil(quota)) : affinity_count();
  return std::max(1, std::min(affinity_count(), allowed));
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> names;
  if (features().avx2) names.emplace_back("avx2");
  if (features().avx512f) names.emplace_back("avx512f");
  if (features().avx512_bf16) names.emplace_back("avx512_bf16");
  if (features().amx_bf16) names.emplace_back("amx_bf16");
  return names;
}

bool cpu_multiplies_bfloat16() { return features().avx512_bf16 || features().amx_bf16; }

ResidentMemory resident_memory() {
  ResidentMemory memory{0, 0};
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream fields(line);
    std::string key;
    int64_t kilobytes = 0;
    fields >> key >> kilobytes;
    if (key == "VmRSS:") memory.now = kilobytes * 1024;
    if (key == "VmHWM:") memory.peak = kilobytes * 1024;
  }
  return memory;
}

}  // namespace lexiseg
