// Scaled dot product attention on plain arrays. Sums are float32, and the scores of a query never
// lie in memory as a whole.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

inline constexpr int64_t kHeadStep = 16;       // widths of a head are multiples of this
inline constexpr int64_t kMaxHeadWidth = 128;  // and at most this
inline constexpr int64_t kQueryBlock = 48;     // queries of one call to `attend`

// Element i of row r lies at r * stride + i.
struct AttentionRows {
  const void* first;
  int64_t stride;
};

// One head of one image; all values of one type, float32 or bfloat16.
struct AttentionTask {
  AttentionRows query, key, value;  // [queries, width], [keys, width], [keys, width]
  void* out;                        // [queries, width] with rows `out_stride` apart
  int64_t out_stride;
  int64_t queries, keys, width;
  float scale;            // of the scores
  int32_t* packed_key;    // as many words as `packed_words` says
  int32_t* packed_value;  // as many
};

struct AttentionKernel {
  int64_t (*packed_words)(int64_t keys, int64_t width);
  // Fills both packed arrays.
  void (*pack)(const AttentionTask&);
  // For the queries from `begin`, kQueryBlock of them or those that are left.
  void (*attend)(const AttentionTask&, int64_t begin);
};

struct AttentionKernels {
  AttentionKernel of_float, of_bfloat16;
};

}  // namespace lexiseg::ops
