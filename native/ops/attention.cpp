#include "ops/attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <cmath>

#include "ops/check.h"
#include "ops/kernels/kernels.h"

namespace lexiseg::ops {
namespace {

using at::Tensor;

// Scores that are worth a thread.
constexpr int64_t kGrain = 1 << 15;

// Of keys and values that are packed at a time, where that leaves each thread a head: 8 MiB.
constexpr int64_t kPackedWords = 1 << 20;

bool fits(const Tensor& query, const Tensor& key, const Tensor& value) {
  const int64_t width = query.size(3);
  const auto dtype = query.scalar_type();
  return query.device().is_cpu() &&
         (dtype == at::kFloat || (dtype == at::kBFloat16 && !has_matrix_unit())) &&
         !wants_gradient({query, key, value}) && query.numel() > 0 && width % kHeadStep == 0 &&
         width <= kMaxHeadWidth;
}

// With the elements of a row beside one another.
Tensor with_rows(const Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

// In bytes, of the element that a head starts with.
int64_t offset_of(const Tensor& x, int64_t head) {
  return (head / x.size(1) * x.stride(0) + head % x.size(1) * x.stride(1)) * x.element_size();
}

AttentionRows head_of(const Tensor& x, int64_t head) {
  return {static_cast<const char*>(x.const_data_ptr()) + offset_of(x, head), x.stride(2)};
}

void check(const Tensor& query, const Tensor& key, const Tensor& value) {
  const auto dtype = query.scalar_type();
  LEXISEG_EXPECT(query.is_floating_point(), "a floating dtype", "query", describe(query));
  check_dense(query, "query", {dtype}, 4);
  check_dense(key, "key", {dtype}, 4);
  check_sizes(key, "key", {query.size(0), query.size(1), key.size(2), query.size(3)});
  check_dense(value, "value", {dtype}, 4);
  check_sizes(value, "value", key.sizes());
  LEXISEG_EXPECT(key.size(2) > 0, "at least one key", "key", describe(key));
  LEXISEG_EXPECT(key.device() == query.device() && value.device() == query.device(),
                 "the device of query", "key and value", describe(key), " and ", describe(value));
}

}  // namespace

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value) {
  check(query, key, value);
  if (!fits(query, key, value)) return at::scaled_dot_product_attention(query, key, value);
  const Tensor rows = with_rows(query), keys = with_rows(key), values = with_rows(value);
  const int64_t heads = query.size(0) * query.size(1);
  const int64_t queries = query.size(2), count = key.size(2), width = query.size(3);
  const AttentionKernels& table = kernels().attention;
  const AttentionKernel& kernel =
      query.scalar_type() == at::kFloat ? table.of_float : table.of_bfloat16;
  const int64_t words = kernel.packed_words(count, width);
  const int64_t group =
      std::min(heads, std::max<int64_t>(kPackedWords / words, at::get_num_threads()));
  const Tensor packed = at::empty({2, group, words}, query.options().dtype(at::kInt));
  const Tensor out =
      at::empty({query.size(0), queries, query.size(1), width}, query.options()).transpose(1, 2);
  const int64_t blocks = (queries + kQueryBlock - 1) / kQueryBlock;
  for (int64_t first = 0; first < heads; first += group) {
    const int64_t here = std::min(group, heads - first);
    const auto task_of = [&](int64_t head) {
      int32_t* place = packed.mutable_data_ptr<int32_t>() + head * words;
      return AttentionTask{
          head_of(rows, first + head),
          head_of(keys, first + head),
          head_of(values, first + head),
          static_cast<char*>(out.mutable_data_ptr()) + offset_of(out, first + head),
          out.stride(2),
          queries,
          count,
          width,
          1 / std::sqrt(static_cast<float>(width)),
          place,
          place + packed.stride(0)};
    };
    at::parallel_for(0, here, std::max<int64_t>(kGrain / (count * width), 1),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t h = begin; h < end; ++h) kernel.pack(task_of(h));
                     });
    at::parallel_for(0, here * blocks, std::max<int64_t>(kGrain / (count * kQueryBlock), 1),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i) {
                         kernel.attend(task_of(i / blocks), i % blocks * kQueryBlock);
                       }
                     });
  }
  return out;
}

at::Tensor checked_attention(const at::Tensor& query, const at::Tensor& key,
                             const at::Tensor& value, const std::optional<at::Tensor>& mask,
                             double dropout, bool causal, std::optional<double> scale,
                             bool grouped) {
  const bool alike = key.dim() >= 2 && value.dim() >= 2 && key.size(-2) == value.size(-2);
  LEXISEG_EXPECT(alike, c10::str("as many keys as in ", describe(value)), "key", describe(key));
  return at::scaled_dot_product_attention(query, key, value, mask, dropout, causal, scale, grouped);
}

}  // namespace lexiseg::ops
