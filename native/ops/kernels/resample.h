// Rows of masks on plain arrays: blending, widening, sigmoid, the contest of queries for pixels.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

// One output row from blended grid columns, planned once per geometry: block b holds `kBlock`
// output pixels, whose taps all lie in [first[b], last[b]].
struct ColumnPlan {
  static constexpr int64_t kBlock = 64;
  static constexpr int64_t kGroup = 16;
  int64_t width, blocks;
  int taps;              // 1 to 4 used taps
  const int32_t* index;  // [taps][blocks * kBlock], absolute columns
  const float* weight;   // [taps][blocks * kBlock]
  const int32_t* first;  // [blocks]
  const int32_t* last;   // [blocks]
  const int32_t* base;  // [blocks * kBlock / kGroup]: a group reads only columns base .. base + 15;
                        // -1 where it reads farther; rows have 15 readable floats after the last
};

struct RowContest {
  const float* row;  // blended grid row of one query
  float score;
  int32_t query;
  float* best;      // [blocks * kBlock]
  int32_t* winner;  // [blocks * kBlock]: query * 2 + (logit >= 0); -1 for none
};

struct ResampleKernels {
  // out[i] = sum over k of weights[k] * rows[k][i]
  void (*blend)(const float* const* rows, const float* weights, int count, float* out, int64_t n);
  // Resamples a blended grid row to the output columns; writes blocks * kBlock values.
  void (*expand)(const ColumnPlan&, const float* row, float* out);
  void (*sigmoid)(float* values, int64_t n);
  // Lets a query compete for the pixels of a row; returns how many of its logits are >= 0.
  int64_t (*compete)(const ColumnPlan&, const RowContest&);
  // For each of n columns the largest of k rows, `stride` apart, and its row, the first among
  // equals.
  void (*argmax)(const float* rows, int64_t k, int64_t stride, int64_t n, float* best,
                 int32_t* index);
};

}  // namespace lexiseg::ops
