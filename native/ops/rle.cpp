#include "ops/rle.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "ops/check.h"

namespace lexiseg::ops {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 30;

constexpr int64_t kWord = 64;

// Bit j of word i to bit i of word j.
void transpose(uint64_t* words) {
  uint64_t mask = 0x00000000ffffffff;
  for (int width = 32; width != 0; width >>= 1, mask ^= mask << width) {
    for (int i = 0; i < kWord; i = ((i | width) + 1) & ~width) {
      const uint64_t swapped = ((words[i] >> width) ^ words[i | width]) & mask;
      words[i] ^= swapped << width;
      words[i | width] ^= swapped;
    }
  }
}

// A bit for each of `count` <= 64 bytes that is not 0.
uint64_t pack(const uint8_t* bytes, int64_t count) {
  constexpr uint64_t kLow = 0x7f7f7f7f7f7f7f7f, kOnes = 0x0101010101010101;
  uint64_t word = 0;
  for (int64_t i = 0; i < count; i += 8) {
    uint64_t eight = 0;
    std::memcpy(&eight, bytes + i, std::min<int64_t>(8, count - i));
    const uint64_t set = ((eight | ((eight & kLow) + kLow)) >> 7) & kOnes;
    word |= ((set * 0x0102040810204080) >> 56) << i;
  }
  return word;
}

// The inverse, to bytes of 0 and 1.
void unpack(uint64_t word, int64_t count, uint8_t* bytes) {
  for (int64_t i = 0; i < count; i += 8) {
    const uint64_t spread = ((word >> i & 0xff) * 0x0101010101010101) & 0x8040201008040201;
    const uint64_t eight = ((spread + 0x7f7f7f7f7f7f7f7f) | spread) >> 7 & 0x0101010101010101;
    std::memcpy(bytes + i, &eight, std::min<int64_t>(8, count - i));
  }
}

BitColumns columns_of(const uint8_t* mask, int64_t height, int64_t width) {
  BitColumns columns(height, width);
  for (int64_t top = 0; top < height; top += kWord) {
    const int64_t rows = std::min(kWord, height - top);
    for (int64_t left = 0; left < width; left += kWord) {
      const int64_t across = std::min(kWord, width - left);
      uint64_t words[kWord] = {};
      for (int64_t y = 0; y < rows; ++y) words[y] = pack(mask + (top + y) * width + left, across);
      transpose(words);
      for (int64_t x = 0; x < across; ++x) columns.column(left + x)[top / kWord] = words[x];
    }
  }
  return columns;
}

void write_rows(const BitColumns& columns, uint8_t* mask) {
  const int64_t height = columns.height(), width = columns.width();
  for (int64_t top = 0; top < height; top += kWord) {
    const int64_t rows = std::min(kWord, height - top);
    for (int64_t left = 0; left < width; left += kWord) {
      const int64_t across = std::min(kWord, width - left);
      uint64_t words[kWord] = {};
      for (int64_t x = 0; x < across; ++x) words[x] = columns.column(left + x)[top / kWord];
      transpose(words);
      for (int64_t y = 0; y < rows; ++y) unpack(words[y], across, mask + (top + y) * width + left);
    }
  }
}

// Sets the pixels [begin, end) in column-major order.
void set_run(BitColumns& columns, int64_t begin, int64_t end) {
  const int64_t height = columns.height();
  while (begin < end) {
    const int64_t y = begin % height, bit = y % kWord;
    const int64_t length = std::min({kWord - bit, height - y, end - begin});
    const uint64_t ones = length == kWord ? ~uint64_t{0} : (uint64_t{1} << length) - 1;
    columns.column(begin / height)[y / kWord] |= ones << bit;
    begin += length;
  }
}

}  // namespace

std::vector<int32_t> runs_of(const BitColumns& mask) {
  std::vector<int32_t> counts;
  int64_t start = 0;
  uint64_t before = 0;  // the last pixel, in bit 0
  for (int64_t x = 0; x < mask.width(); ++x) {
    const uint64_t* column = mask.column(x);
    for (int64_t i = 0; i < mask.words_per_column(); ++i) {
      const int64_t rows = std::min(kWord, mask.height() - i * kWord);
      uint64_t changes = column[i] ^ (column[i] << 1 | before);
      if (rows < kWord) changes &= (uint64_t{1} << rows) - 1;
      for (; changes != 0; changes &= changes - 1) {
        const int64_t at = x * mask.height() + i * kWord + std::countr_zero(changes);
        counts.push_back(static_cast<int32_t>(at - start));
        start = at;
      }
      before = column[i] >> (rows - 1) & 1;
    }
  }
  counts.push_back(static_cast<int32_t>(mask.height() * mask.width() - start));
  return counts;
}

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
  check_tensor(masks, "masks", {at::kBool, at::kByte}, 3);
  const int64_t height = masks.size(1), width = masks.size(2);
  const int64_t pixels = checked_product(height, width, kMaxPixels, "the size of masks");
  const auto dense = masks.contiguous();
  const auto* bytes = static_cast<const uint8_t*>(dense.const_data_ptr());
  std::vector<std::vector<int32_t>> runs(masks.size(0));
  at::parallel_for(0, masks.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      runs[i] = runs_of(columns_of(bytes + i * pixels, height, width));
    }
  });
  return pack_runs(runs);
}

at::Tensor rle_decode(const at::Tensor& counts, const at::Tensor& offsets, int64_t height,
                      int64_t width) {
  check_tensor(counts, "counts", {at::kInt}, 1);
  check_tensor(offsets, "offsets", {at::kLong}, 1);
  LEXISEG_EXPECT(offsets.size(0) >= 1, "at least one offset", "offsets", describe(offsets));
  const int64_t pixels = checked_product(height, width, kMaxPixels, "the size of masks");
  const int64_t masks = offsets.size(0) - 1;
  checked_product(masks, pixels, int64_t{1} << 40, "masks and their size");
  const auto run = counts.contiguous(), bounds = offsets.contiguous();
  const auto* offset = bounds.const_data_ptr<int64_t>();
  const auto* length = run.const_data_ptr<int32_t>();
  LEXISEG_EXPECT(offset[0] == 0 && offset[masks] == run.size(0),
                 c10::str("0 first and ", run.size(0), " last"), "offsets", offset[0], " and ",
                 offset[masks]);
  // Everything is checked before memory for the masks is asked for.
  for (int64_t i = 0; i < masks; ++i) {
    LEXISEG_EXPECT(offset[i] <= offset[i + 1] && offset[i + 1] <= run.size(0), "rising values",
                   "offsets", offset[i], " before ", offset[i + 1]);
    int64_t total = 0;
    for (int64_t r = offset[i]; r < offset[i + 1]; ++r) {
      LEXISEG_EXPECT(length[r] >= 0 && length[r] <= pixels - total,
                     c10::str("run lengths that add up to ", pixels), "counts", length[r],
                     " after ", total);
      total += length[r];
    }
    LEXISEG_EXPECT(total == pixels, c10::str("run lengths that add up to ", pixels), "counts",
                   total, " in all");
  }
  auto out = at::empty({masks, height, width}, at::kByte);
  auto* bytes = out.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, pixels > 0 ? masks : 0, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      BitColumns columns(height, width);
      int64_t at = 0;
      for (int64_t r = offset[i]; r < offset[i + 1]; at += length[r++]) {
        if ((r - offset[i]) % 2 == 1) set_run(columns, at, at + length[r]);
      }
      write_rows(columns, bytes + i * pixels);
    }
  });
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
