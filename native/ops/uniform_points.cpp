#include "ops/uniform_points.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "ops/check.h"

namespace lexiseg::ops {
namespace {

constexpr int64_t kMostValues = int64_t{1} << 31;

// SplitMix64 (Steele, Lea, Flood 2014).
uint64_t mixed(uint64_t z) {
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace

at::Tensor uniform_points(const at::Tensor& seeds, int64_t count) {
  LEXISEG_EXPECT(seeds.dim() == 1 && seeds.scalar_type() == at::kLong, "int64 [N]", "seeds",
                 describe(seeds));
  LEXISEG_EXPECT(count >= 0, "at least 0", "count", count);
  const int64_t values = 2 * count;
  checked_product(seeds.size(0), values, kMostValues, "count");
  const at::Tensor given = seeds.to(at::kCPU).contiguous();
  at::Tensor points = at::empty({seeds.size(0), count, 2}, at::kFloat);
  const int64_t* seed = given.const_data_ptr<int64_t>();
  float* out = points.mutable_data_ptr<float>();
  constexpr int64_t kGrain = 1 << 14;
  at::parallel_for(0, seeds.size(0) * values, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto start = static_cast<uint64_t>(seed[i / values]);
      const uint64_t bits = mixed(start + static_cast<uint64_t>(i % values) * 0x632BE5AB);
      out[i] = static_cast<float>(bits >> 40) * (1.0F / (1 << 24));
    }
  });
  return points.to(seeds.device());
}

}  // namespace lexiseg::ops
