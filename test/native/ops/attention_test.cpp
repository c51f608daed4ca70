// Attention against its textbook composition in float64.
#include <cmath>
#include <utility>

#include "operators.h"

namespace {

// Heads beside one another in the rows of packed projections, as networks have them.
at::Tensor rows(int64_t seed, int64_t count, int64_t width, at::ScalarType dtype) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return at::randn({2, count, 3, width}).to(dtype).transpose(1, 2);
}

double largest_error(int64_t queries, int64_t keys, int64_t width, at::ScalarType dtype) {
  const at::Tensor query = rows(1, queries, width, dtype), key = rows(2, keys, width, dtype);
  const at::Tensor value = rows(3, keys, width, dtype);
  const at::Tensor scores = at::matmul(query.to(at::kDouble), key.to(at::kDouble).transpose(2, 3)) /
                            std::sqrt(static_cast<double>(width));
  const at::Tensor expected = at::matmul(scores.softmax(3), value.to(at::kDouble));
  return (operators::attention(query, key, value).to(at::kDouble) - expected)
      .abs()
      .max()
      .item<double>();
}

}  // namespace

TEST("attention is its composition, for every remainder of the blocks") {
  for (const int64_t width : {16, 48, 64, 128}) {
    for (const auto& [queries, keys] :
         {std::pair{1, 1}, {7, 31}, {48, 256}, {49, 257}, {100, 300}, {5, 1030}}) {
      EXPECT(largest_error(queries, keys, width, at::kFloat) < 1e-5);
      EXPECT(largest_error(queries, keys, width, at::kBFloat16) < 4e-2);
    }
  }
}

TEST("attention refuses what does not fit") {
  const auto refused = [query = rows(1, 4, 16, at::kFloat)](const at::Tensor& key,
                                                            const at::Tensor& value) {
    return operators::refusal([&] { return operators::attention(query, key, value); });
  };
  const at::Tensor good = rows(2, 5, 16, at::kFloat);
  EXPECT(refused(good, good).empty());
  const auto names = [](const std::string& text, const char* name) {
    return text.find(name) != std::string::npos;
  };
  EXPECT(names(refused(rows(2, 5, 32, at::kFloat), good), "key"));
  EXPECT(names(refused(rows(2, 5, 16, at::kDouble), good), "key"));
  EXPECT(names(refused(good, rows(3, 6, 16, at::kFloat)), "value"));
  EXPECT(names(refused(good, good.to(at::kMeta)), "value"));
  EXPECT(names(refused(rows(2, 0, 16, at::kFloat), rows(3, 0, 16, at::kFloat)), "key"));
  EXPECT(!refused(at::Tensor(), good).empty());
  EXPECT(!refused(good, at::Tensor()).empty());
}
