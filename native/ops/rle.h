// COCO run lengths: column-major, alternating runs of zeros and ones, zeros first.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ops/export.h"

namespace lexiseg::ops {

// A mask as bits down its columns: word i of column x holds rows 64 * i to 64 * i + 63, lowest
// first. Bits past the height are 0.
class BitColumns {
 public:
  BitColumns(int64_t height, int64_t width)
      : height_(height), width_(width), per_column_((height + 63) / 64) {
    words_.resize(per_column_ * width_);
  }

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t words_per_column() const { return per_column_; }
  uint64_t* column(int64_t x) { return words_.data() + x * per_column_; }
  const uint64_t* column(int64_t x) const { return words_.data() + x * per_column_; }

 private:
  int64_t height_, width_, per_column_;
  std::vector<uint64_t> words_;
};

// The runs of a mask, which add up to its pixels.
std::vector<int32_t> runs_of(const BitColumns& mask);

// Counts int32 [R], one mask after another, and offsets int64 [N + 1] into them.
std::tuple<at::Tensor, at::Tensor> pack_runs(const std::vector<std::vector<int32_t>>& runs);

// masks: bool|uint8 [N, H, W], non-zero is inside.
std::tuple<at::Tensor, at::Tensor> rle_encode(const at::Tensor& masks);

// Inverse of rle_encode: uint8 [N, height, width] of 0 and 1. Counts that are negative or do not
// add up to height * width are refused.
at::Tensor rle_decode(const at::Tensor& counts, const at::Tensor& offsets, int64_t height,
                      int64_t width);

// COCO's compressed text of run lengths (six bits a character, differences to two runs before).
LEXISEG_OPS_API std::string rle_to_string(const std::vector<uint32_t>& counts);
// Throws c10::Error on text that no encoder writes or whose counts leave 32 bits.
LEXISEG_OPS_API std::vector<uint32_t> rle_from_string(std::string_view text);

}  // namespace lexiseg::ops
