// Tiles of an output: some rows of one block of columns, read from a coarse plane through bilinear
// taps. Plain data and the kernels on it.
#pragma once

#include <cstdint>

namespace lexiseg::ops {

inline constexpr int kMaxTaps = 4;

// Logits further from 0, and NaN as if it were far below, are read as this: their blends are
// numbers.
inline constexpr float kCertain = 1e30f;

// Which samples a pixel reads along one axis. Unused taps have weight 0 and repeat the first index.
struct Taps {
  int32_t index[kMaxTaps];
  float weight[kMaxTaps];
};

// Neighbouring output columns. A group is one vector of them; groups come in pairs. Columns past
// `columns` repeat the last one.
struct ColumnBlock {
  static constexpr int64_t kColumns = 64;

  int64_t columns, groups;
  int64_t first, span;  // the plane's columns that are read
  int64_t taps;
  const int32_t* index;  // [groups, taps, lanes], relative to first + base, or to first
  const float* weight;   // [groups, taps, lanes]
  const int32_t* base;   // [groups], relative to first; -1 where a vector cannot hold the samples
};

// Rows of a plane blended by the taps of output rows: [rows, stride], the block's `span` columns
// and a vector more that may hold anything.
struct BlendedRows {
  const float* samples;
  int64_t stride, rows;
};

// The best query so far at each pixel of a tile: [rows, groups * lanes].
struct Leaders {
  float* best;      // score * probability
  int32_t* winner;  // query * 2 + (probability >= 0.5); -1 is none
};

struct Contestant {
  float score;
  int32_t query;
};

// Where pixel vectors of a tile go: row r, group g to r * row + (g / 2) * pair + (g % 2) * lanes.
struct TileLayout {
  int64_t row, pair;
};

struct TileKernels {
  // Least and largest of [rows, columns]. Infinite values count as +-1e30, NaN as -1e30.
  void (*range)(const float* plane, int64_t stride, int64_t rows, int64_t columns, float* least,
                float* most);
  // `plane` points at the block's first column. The same holds for infinite values and NaN.
  void (*blend)(const float* plane, int64_t plane_stride, const Taps* taps, int64_t span,
                const BlendedRows& out, float* samples);
  // The resampled tile, or its sigmoid.
  void (*expand)(const ColumnBlock&, const BlendedRows&, bool to_probability,
                 const TileLayout& layout, float* out);
  void (*sigmoid)(float* values, int64_t count);
  // Pixels with a probability of at least 0.5.
  int64_t (*cover)(const ColumnBlock&, const BlendedRows&);
  // As cover, and updates the leaders; the lower query wins among equals. *least is the smallest
  // `best` of the tile afterwards.
  int64_t (*compete)(const ColumnBlock&, const BlendedRows&, const Contestant&, const Leaders&,
                     float* least);
  // One word a row with a bit for each column with a positive logit; returns the sum of the
  // probabilities there.
  float (*trace)(const ColumnBlock&, const BlendedRows&, uint64_t* words, int64_t word_stride);
};

}  // namespace lexiseg::ops
