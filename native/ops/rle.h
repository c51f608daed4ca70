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

// Collects the runs of one mask whose pixels come in column-major order.
class RunWriter {
 public:
  void push(bool inside) {
    if (inside != inside_) {
      counts_.push_back(run_);
      run_ = 0;
      inside_ = inside;
    }
    ++run_;
  }
  // The runs, which add up to the pixels pushed.
  std::vector<int32_t> finish() {
    counts_.push_back(run_);
    return std::move(counts_);
  }

 private:
  std::vector<int32_t> counts_;
  int32_t run_ = 0;
  bool inside_ = false;
};

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
