#include "ops/rle.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

namespace lexiseg::ops {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 30;

// Column-major traversal a band of columns at a time, so that a cache line is read once.
std::vector<int32_t> runs_of(const uint8_t* mask, int64_t height, int64_t width) {
  constexpr int64_t kBand = 64;
  RunWriter writer;
  std::vector<uint8_t> band(kBand * height);
  for (int64_t left = 0; left < width; left += kBand) {
    const int64_t columns = std::min(kBand, width - left);
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < columns; ++x) band[x * height + y] = mask[y * width + left + x];
    }
    for (int64_t i = 0; i < columns * height; ++i) writer.push(band[i] != 0);
  }
  return writer.finish();
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> pack_runs(const std::vector<std::vector<int32_t>>& runs) {
  auto offsets = at::zeros({static_cast<int64_t>(runs.size()) + 1}, at::kLong);
  auto* offset = offsets.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < runs.size(); ++i) {
    offset[i + 1] = offset[i] + static_cast<int64_t>(runs[i].size());
  }
  auto counts = at::empty({offset[runs.size()]}, at::kInt);
  for (size_t i = 0; i < runs.size(); ++i) {
    std::copy(runs[i].begin(), runs[i].end(), counts.mutable_data_ptr<int32_t>() + offset[i]);
  }
  return {counts, offsets};
}

std::tuple<at::Tensor, at::Tensor> rle_encode(const at::Tensor& masks) {
  const auto dtype = masks.scalar_type();
  TORCH_CHECK(masks.dim() == 3 && (dtype == at::kBool || dtype == at::kByte),
              "Expected bool or uint8 [N, H, W] for masks but received ", dtype, " ",
              masks.sizes());
  const int64_t height = masks.size(1), width = masks.size(2);
  TORCH_CHECK(height == 0 || width <= kMaxPixels / height, "Expected masks of at most ", kMaxPixels,
              " pixels but received ", masks.sizes());
  const auto dense = masks.contiguous().view(at::kByte);
  std::vector<std::vector<int32_t>> runs(masks.size(0));
  at::parallel_for(0, masks.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      runs[i] = runs_of(dense.const_data_ptr<uint8_t>() + i * height * width, height, width);
    }
  });
  return pack_runs(runs);
}

at::Tensor rle_decode(const at::Tensor& counts, const at::Tensor& offsets, int64_t height,
                      int64_t width) {
  TORCH_CHECK(counts.dim() == 1 && counts.scalar_type() == at::kInt,
              "Expected int32 [R] for counts but received ", counts.scalar_type(), " ",
              counts.sizes());
  TORCH_CHECK(offsets.dim() == 1 && offsets.size(0) > 0 && offsets.scalar_type() == at::kLong,
              "Expected int64 [N + 1] for offsets but received ", offsets.scalar_type(), " ",
              offsets.sizes());
  TORCH_CHECK(height >= 0 && width >= 0 && (height == 0 || width <= kMaxPixels / height),
              "Expected a size of at most ", kMaxPixels, " pixels but received ", height, " x ",
              width);
  const auto run = counts.contiguous(), bounds = offsets.contiguous();
  const auto* offset = bounds.const_data_ptr<int64_t>();
  const auto* length = run.const_data_ptr<int32_t>();
  const int64_t masks = bounds.size(0) - 1, pixels = height * width;
  TORCH_CHECK(masks == 0 || pixels <= kMaxPixels / masks, "Expected at most ", kMaxPixels,
              " pixels in all but received ", masks, " masks of ", height, " x ", width);
  TORCH_CHECK(offset[0] == 0 && offset[masks] == run.size(0),
              "Expected offsets from 0 to the number of counts");
  auto out = at::zeros({masks, height, width}, at::kByte);
  for (int64_t i = 0; i < masks; ++i) {
    TORCH_CHECK(offset[i] <= offset[i + 1] && offset[i + 1] <= run.size(0),
                "Expected rising offsets for mask ", i);
    uint8_t* mask = out.mutable_data_ptr<uint8_t>() + i * pixels;
    int64_t at = 0;
    for (int64_t r = offset[i]; r < offset[i + 1]; ++r) {
      TORCH_CHECK(length[r] >= 0 && length[r] <= pixels - at, "Expected counts that add up to ",
                  pixels, " for mask ", i);
      const int64_t end = at + length[r];
      const bool inside = (r - offset[i]) % 2 == 1;
      for (; inside && at < end; ++at) mask[at % height * width + at / height] = 1;
      at = end;
    }
    TORCH_CHECK(at == pixels, "Expected counts that add up to ", pixels, " for mask ", i,
                " but received ", at);
  }
  return out;
}

std::string rle_to_string(const std::vector<uint32_t>& counts) {
  std::string text;
  for (size_t i = 0; i < counts.size(); ++i) {
    int64_t value = counts[i];
    if (i > 2) value -= counts[i - 2];
    for (bool more = true; more;) {
      auto bits = static_cast<char>(value & 0x1f);
      value >>= 5;
      // The fifth bit is the sign of the last group.
      more = (bits & 0x10) ? value != -1 : value != 0;
      if (more) bits |= 0x20;
      text.push_back(static_cast<char>(bits + 48));
    }
  }
  return text;
}

std::vector<uint32_t> rle_from_string(std::string_view text) {
  std::vector<uint32_t> counts;
  for (size_t at = 0; at < text.size();) {
    int64_t value = 0;
    int shift = 0;
    for (bool more = true; more; shift += 5) {
      TORCH_CHECK(at < text.size(), "Expected whole run lengths but the text ends within one");
      TORCH_CHECK(shift <= 30, "Expected run lengths of 32 bits at character ", at);
      const int bits = text[at] - 48;
      TORCH_CHECK(bits >= 0 && bits < 64, "Expected a character of '0' to 'o' at ", at);
      ++at;
      value |= static_cast<int64_t>(bits & 0x1f) << shift;
      more = (bits & 0x20) != 0;
      if (!more && (bits & 0x10)) value -= int64_t{1} << (shift + 5);
    }
    if (counts.size() > 2) value += counts[counts.size() - 2];
    TORCH_CHECK(value >= 0 && value <= std::numeric_limits<uint32_t>::max(),
                "Expected run lengths of 32 bits but received ", value);
    counts.push_back(static_cast<uint32_t>(value));
  }
  return counts;
}

}  // namespace lexiseg::ops
